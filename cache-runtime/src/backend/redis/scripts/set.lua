-- Changes what the fleet has set. KEYS: settings. ARGV: how many are
-- set; each, and its value; those that are not set any more.
local count = tonumber(ARGV[1])
if type(redis.pcall('HLEN', KEYS[1])) == 'table' then redis.call('DEL', KEYS[1]) end
for i = 2, 2 * count, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 2 * count + 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
