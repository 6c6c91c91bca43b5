use std::ops::Deref;
use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// Scripts are sent as EVALSHA and loaded when the server does not know them.
///
/// A lease's value is its token (16 bytes), the stamp of its computation (16 bytes) and its life in
/// ms as text; a lease that would live longer (no expiry, a server's clock set back) is taken over.
/// A token of zeros is a pause after a failed refresh. A write ends the tracking of a key, also our
/// own: a key that we must be notified of is read after it is written. Keys that a script reads are
/// tracked together with all keys of the script: the claim looks at the entry with GETEX, which
/// counts as a write; otherwise the push of its own lease would close its own flight. If an entry
/// may be too old, the lease is taken before the entry's life is read. Every script may be sent
/// twice, if a driver does not know if it has arrived: a claim is granted again.
pub(crate) struct Scripts {
    /// Returns the generation of a group, and 1 if something else stood there. Creates the
    /// generation if it is missing or damaged. KEYS: group. ARGV: a fresh one, its life in ms or 0.
    pub(crate) generation: LuaScript,
    /// KEYS: entry, lease. ARGV: token and stamp, life ms, mark, reach; ms that an entry of use
    /// lives longer than, bytes it has at most, 1 if a pause is respected, as one text, because
    /// each argument of a script costs and these are seldom looked at; a lease we may replace.
    pub(crate) claim: LuaScript,
    /// KEYS: lease. ARGV: token, life ms.
    pub(crate) renew: LuaScript,
    /// KEYS: entry, lease. ARGV: token, entry, life ms; if an entry of this mark is kept, ms of the
    /// pause then, or 0.
    pub(crate) fill: LuaScript,
    /// KEYS: lease. ARGV: token.
    pub(crate) release: LuaScript,
    /// Replaces a lease by a pause. KEYS: lease. ARGV: token, ms.
    pub(crate) pause: LuaScript,
    /// Adds functions and their variants to the registry. KEYS: registry. ARGV: how many names
    /// it holds at most, bytes of variants that a function has at most, the mark of this
    /// restoration, or nothing if they were not there before, then name and variant of each.
    pub(crate) announce: LuaScript,
    /// Changes the fleet's overrides. KEYS: overrides. ARGV: how many are set; each, and its value;
    /// those that are removed.
    pub(crate) set: LuaScript,
}

/// A script, and its text.
pub(crate) struct LuaScript {
    script: Script,
    code: &'static str,
}

impl LuaScript {
    fn new(code: &'static str) -> Self {
        let script = Script::new(code);
        Self { script, code }
    }

    /// Returns the command that loads it. The driver's own panics, in debug builds, if the reply
    /// belongs to another command.
    pub(super) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.code);
        load
    }
}

impl Deref for LuaScript {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}

/// Room for the arguments of a script's call, with the digest and the number of keys, and for their
/// bytes without an entry: allocated once.
const ARGUMENTS: usize = 12;
const BYTES: usize = 256;

/// Returns the beginning of a script's call, with room for `bytes` bytes.
pub(super) fn call(script: &LuaScript, keys: &[&str], bytes: usize) -> Cmd {
    let keys_bytes: usize = keys.iter().map(|key| key.len()).sum();
    let mut call = Cmd::with_capacity(ARGUMENTS, BYTES + keys_bytes + bytes);
    call.arg("EVALSHA")
        .arg(script.get_hash())
        .arg(keys.len())
        .arg(keys);
    call
}

/// The reply of the claim script, or its first element.
pub(crate) mod claimed {
    pub(crate) const GRANTED: i64 = 0;
    pub(crate) const FOUND: i64 = 1;
    pub(crate) const HELD: i64 = 2;
    pub(crate) const OTHER_STAMP: i64 = 3;
    pub(crate) const PAUSED: i64 = 4;
}

pub(crate) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    generation: LuaScript::new(include_str!("scripts/generation.lua")),
    claim: LuaScript::new(include_str!("scripts/claim.lua")),
    renew: LuaScript::new(include_str!("scripts/renew.lua")),
    fill: LuaScript::new(include_str!("scripts/fill.lua")),
    release: LuaScript::new(include_str!("scripts/release.lua")),
    pause: LuaScript::new(include_str!("scripts/pause.lua")),
    set: LuaScript::new(include_str!("scripts/set.lua")),
    announce: LuaScript::new(include_str!("scripts/announce.lua")),
});

#[cfg(test)]
mod tests;
