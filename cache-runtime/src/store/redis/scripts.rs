use std::sync::LazyLock;

use redis::Script;

/// Scripts are sent as EVALSHA and loaded when the server does not know them.
///
/// A lease's value is its token (16 bytes), then the stamp it computes for (16 bytes). A write
/// ends the tracking of a key, our own too: what we must hear of is read after it is written. And
/// what a script reads is tracked with all its keys: the claim looks at the entry with GETEX,
/// which counts as a write, or else it would hear of its own lease, and end its own flight.
pub(crate) struct Scripts {
    /// The generation of a group, made if there is none. KEYS: group. ARGV: a fresh one, its life
    /// in ms or 0.
    pub(crate) generation: Script,
    /// KEYS: entry, lease. ARGV: token and stamp, life ms, mark, reach, lease we may replace,
    /// ms that an entry of use lives longer than, bytes it has at most.
    pub(crate) claim: Script,
    /// KEYS: lease. ARGV: token, life ms.
    pub(crate) renew: Script,
    /// KEYS: entry, lease. ARGV: token, entry, life ms.
    pub(crate) fill: Script,
    /// KEYS: lease. ARGV: token.
    pub(crate) release: Script,
    /// KEYS: names. ARGV: names.
    pub(crate) announce: Script,
    /// Changes what the fleet has set, and gives all of it. KEYS: settings. ARGV: how many are
    /// set; each, and its value; those that are not set any more.
    pub(crate) set: Script,
}

/// The reply of the claim script, first element.
pub(crate) mod claimed {
    pub(crate) const GRANTED: i64 = 0;
    pub(crate) const FOUND: i64 = 1;
    pub(crate) const HELD: i64 = 2;
    pub(crate) const OTHER_STAMP: i64 = 3;
}

pub(crate) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    generation: Script::new(
        r"local known = redis.call('GET', KEYS[1])
if known then return known end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return redis.call('GET', KEYS[1])",
    ),
    claim: Script::new(
        r"if ARGV[4] == 'normal' then
  local entry = redis.call('GETEX', KEYS[1])
  if entry and #entry <= tonumber(ARGV[7]) and string.sub(entry, 1, #ARGV[3]) == ARGV[3] then
    local left = redis.call('PTTL', KEYS[1])
    if left > tonumber(ARGV[6]) then return {1, entry, left} end
  end
end
if ARGV[4] == 'force' or not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if ARGV[4] ~= 'force' then
    local held = redis.call('GET', KEYS[2])
    if string.sub(held, 17) == string.sub(ARGV[1], 17) then
      return {2, redis.call('PTTL', KEYS[2])}
    end
    if held ~= ARGV[5] then return {3, held} end
  end
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
redis.call('PTTL', KEYS[2])
return {0}",
    ),
    renew: Script::new(
        r"local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 16) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0",
    ),
    fill: Script::new(
        r"local held = redis.call('GET', KEYS[2])
if held and string.sub(held, 1, 16) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
  return 1
end
return 0",
    ),
    release: Script::new(
        r"local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 16) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0",
    ),
    set: Script::new(
        r"local count = tonumber(ARGV[1])
for i = 2, 2 * count, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 2 * count + 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return redis.call('HGETALL', KEYS[1])",
    ),
    announce: Script::new(
        r"redis.call('SADD', KEYS[1], unpack(ARGV))
return redis.call('SCARD', KEYS[1])",
    ),
});
