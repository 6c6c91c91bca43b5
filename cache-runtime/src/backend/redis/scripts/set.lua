-- Changes the fleet's overrides. KEYS: overrides. ARGV: number of overrides to set, then the field
-- and the value of each, then the fields to remove.
local count = tonumber(ARGV[1])
if type(redis.pcall('HLEN', KEYS[1])) == 'table' then redis.call('DEL', KEYS[1]) end
for i = 2, 2 * count, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = 2 * count + 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
