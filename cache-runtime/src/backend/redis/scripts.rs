use std::ops::Deref;
use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// Scripts are sent as EVALSHA and loaded when the server does not know them.
///
/// A lease's value is its token (16 bytes), the stamp it computes for (16 bytes) and its life in ms,
/// as text: one that would live for longer (no expiry, a server's clock set back) is taken over. A
/// token of zeros is nobody's: the last refresh has failed, and the call is paused. A write
/// ends the tracking of a key, our own too: what we must hear of is read after it is written. And
/// what a script reads is tracked with all its keys: the claim looks at the entry with GETEX,
/// which counts as a write, or else it would hear of its own lease, and end its own flight; and where
/// an entry may be too old to be of use, the lease is taken before the entry's life is read.
/// All of them may be sent twice, where a driver does not know whether they have arrived: a claim
/// is granted again.
pub(crate) struct Scripts {
    /// The generation of a group, and whether something else stood there. Made if there is none,
    /// or what is there is none. KEYS: group. ARGV: a fresh one, its life in ms or 0.
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
    /// Changes what the fleet has set. KEYS: settings. ARGV: how many are
    /// set; each, and its value; those that are not set any more.
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

    /// Loads it. Whatever the server says to that: the driver's own panics, in debug builds, at a
    /// reply that is another's.
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

/// Arguments of a script's call, with the digest and the number of keys, and their bytes, an entry
/// aside: room for them is made once.
const ARGUMENTS: usize = 12;
const BYTES: usize = 256;

/// The beginning of a script's call, with so many bytes to come.
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
    generation: LuaScript::new(
        r"local known = redis.pcall('GET', KEYS[1])
if type(known) == 'string' and #known == 16 then return {known, 0} end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {redis.call('GET', KEYS[1]), known and 1 or 0}",
    ),
    claim: LuaScript::new(
        r"local entry, damaged = ARGV[4] == 'normal' and redis.pcall('GETEX', KEYS[1]), 0
local taken = ARGV[4] ~= 'force' and not entry and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
if not taken then
  local min_remaining_ttl, most, pauses = string.match(ARGV[5], '(%S+) (%S+) (%S+)')
  if type(entry) == 'table' then
    damaged = 1
  elseif entry and #entry <= tonumber(most) and string.sub(entry, 1, 3) == string.sub(ARGV[3], 1, 3)
    and string.sub(entry, 5, #ARGV[3]) == string.sub(ARGV[3], 5) then
    beyond = tonumber(min_remaining_ttl)
    taken = beyond > 0 and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
    local left = redis.call('PTTL', KEYS[1])
    if left > beyond then
      if taken then redis.call('DEL', KEYS[2]) end
      return {1, entry, left}
    end
  end
  if ARGV[4] == 'force' or not (taken or redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])) then
    if ARGV[4] ~= 'force' then
      local held = redis.pcall('GET', KEYS[2])
      if type(held) ~= 'string' or #held < 32 then
        damaged = 1
      else
        local left = redis.call('PTTL', KEYS[2])
        local life = math.max(tonumber(ARGV[2]), tonumber(string.sub(held, 33)) or 0)
        if left >= 0 and left <= life + 1000 and held ~= ARGV[1] then
          if string.sub(held, 17, 32) ~= string.sub(ARGV[1], 17, 32) then
            if held ~= ARGV[6] then return {3, held} end
          elseif string.sub(held, 1, 16) ~= string.rep('\0', 16) then
            return {2, left}
          elseif pauses == '1' then
            return {4}
          end
        end
      end
    end
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  end
end
redis.call('PTTL', KEYS[2])
if damaged == 1 then return {0, 1} end
return 0",
    ),
    renew: LuaScript::new(
        r"local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0",
    ),
    fill: LuaScript::new(
        r"local held = redis.pcall('GET', KEYS[2])
if type(held) ~= 'string' or string.sub(held, 1, 16) ~= ARGV[1] then return 0 end
if ARGV[4] then
  local mark = redis.pcall('GETRANGE', KEYS[1], 0, 35)
  if type(mark) == 'string' and string.sub(mark, 1, 3) == string.sub(ARGV[2], 1, 3)
    and string.sub(mark, 5) == string.sub(ARGV[2], 5, 36) then
    if ARGV[4] == '0' then
      redis.call('DEL', KEYS[2])
    else
      redis.call('SET', KEYS[2], string.rep('\0', 16) .. string.sub(held, 17, 32) .. ARGV[4], 'PX', ARGV[4])
    end
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1",
    ),
    release: LuaScript::new(
        r"local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0",
    ),
    pause: LuaScript::new(
        r"local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then
  redis.call('SET', KEYS[1], string.rep('\0', 16) .. string.sub(held, 17, 32) .. ARGV[2], 'PX', ARGV[2])
  return 1
end
return 0",
    ),
    set: LuaScript::new(
        r"local count = tonumber(ARGV[1])
if type(redis.pcall('HLEN', KEYS[1])) == 'table' then redis.call('DEL', KEYS[1]) end
for i = 2, 2 * count, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 2 * count + 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1",
    ),
    announce: LuaScript::new(
        r"if type(redis.pcall('HLEN', KEYS[1])) == 'table' then redis.call('DEL', KEYS[1]) end
local function join(a, b)
  if a == '' or b == '' then return a .. b end
  return a .. ' ' .. b
end
for i = 4, #ARGV, 2 do
  local name, variant = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', KEYS[1], name)
  if not known then
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then name, variant = '*', '' end
    redis.call('HSET', KEYS[1], name, join(variant, ARGV[3]))
  elseif variant ~= '' and not string.find(' ' .. known .. ' ', ' ' .. variant .. ' ', 1, true) then
    if ARGV[3] ~= '' then known = string.gsub(known, ' ?:%x+', '') end
    known = join(join(known, variant), ARGV[3])
    while #known > tonumber(ARGV[2]) do known = string.gsub(known, '^%S*%s', '', 1) end
    redis.call('HSET', KEYS[1], name, known)
  end
end
return redis.call('HLEN', KEYS[1])",
    ),
});

#[cfg(test)]
mod tests;
