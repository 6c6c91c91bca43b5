-- Removes a lease. KEYS: lease. ARGV: token.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
