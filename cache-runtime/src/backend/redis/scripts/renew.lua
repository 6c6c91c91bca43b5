-- Renews a lease. KEYS: lease. ARGV: token, life in ms.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
