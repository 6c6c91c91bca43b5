use std::ops::Deref;
use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// The Lua scripts of the cache. Scripts are sent with EVALSHA, and loaded when the server does not
/// know them.
///
/// The value of a lease is its token (16 bytes), the stamp of its computation (16 bytes) and its
/// life in ms as decimal text. A lease that would outlive this life (without an expiry, or after
/// the server's clock was set back) is taken over. A token of zeros marks a pause after a failed
/// refresh.
///
/// A write ends the tracking of a key, even for the connection that writes. A key whose changes
/// must be pushed is therefore read after it is written. When a script reads a key, Redis tracks
/// all keys of the script. The claim therefore reads the entry with GETEX, which counts as a write;
/// otherwise the push about the claim's own lease would close the claim's own flight.
///
/// If an entry may be too old, the lease is taken before the entry's life is read.
///
/// A script may run twice, because a driver repeats it if the outcome of the first attempt is
/// unknown. A repeated claim is granted again.
pub(crate) struct Scripts {
    /// Returns the generation of a group, and 1 if the key held anything else. Creates the
    /// generation if it is missing or damaged. KEYS: group. ARGV: new generation, its life in ms or
    /// 0 for none.
    pub(crate) generation: LuaScript,
    /// Claims a call. KEYS: entry, lease. ARGV: value of the new lease, its life in ms, expected
    /// mark of the entry, claim mode (`normal`, `ignore` or `force`); one text with the remaining
    /// life in ms that an accepted entry must exceed, the maximum size of an entry in bytes and 1
    /// if a pause is respected; optionally the value of a lease that may be replaced. The three
    /// numbers share one text, because each argument of a script costs time and they are rarely
    /// parsed.
    pub(crate) claim: LuaScript,
    /// Renews a lease. KEYS: lease. ARGV: token, life in ms.
    pub(crate) renew: LuaScript,
    /// Stores an entry and removes the lease. KEYS: entry, lease. ARGV: token, entry, life in ms;
    /// optionally, to keep an existing entry with the same mark, the life of the pause in ms that
    /// replaces the lease then, or 0 for none.
    pub(crate) fill: LuaScript,
    /// Removes a lease. KEYS: lease. ARGV: token.
    pub(crate) release: LuaScript,
    /// Replaces a lease by a pause. KEYS: lease. ARGV: token, life of the pause in ms.
    pub(crate) pause: LuaScript,
    /// Adds functions and their variants to the registry. KEYS: registry. ARGV: maximum number of
    /// names, maximum size of a function's variants in bytes, restoration mark or an empty text if
    /// the names are new, then the name and the variant of each function.
    pub(crate) announce: LuaScript,
    /// Changes the fleet's overrides. KEYS: overrides. ARGV: number of overrides to set, then the
    /// field and the value of each, then the fields to remove.
    pub(crate) set: LuaScript,
}

/// A script with its source text.
pub(crate) struct LuaScript {
    script: Script,
    code: &'static str,
}

impl LuaScript {
    fn new(code: &'static str) -> Self {
        let script = Script::new(code);
        Self { script, code }
    }

    /// Returns the command that loads the script. The driver's own method panics in debug builds if
    /// the reply belongs to another command.
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

/// Capacity of a call for arguments, including the digest and the number of keys, and for their
/// bytes without the keys and an entry. The call is allocated once.
const ARGUMENTS: usize = 12;
const BYTES: usize = 256;

/// Returns the beginning of a script's call, with capacity for `bytes` further bytes.
pub(super) fn call(script: &LuaScript, keys: &[&str], bytes: usize) -> Cmd {
    let keys_bytes: usize = keys.iter().map(|key| key.len()).sum();
    let mut call = Cmd::with_capacity(ARGUMENTS, BYTES + keys_bytes + bytes);
    call.arg("EVALSHA")
        .arg(script.get_hash())
        .arg(keys.len())
        .arg(keys);
    call
}

/// Replies of the claim script: the integer reply, or the first element of the array reply.
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
