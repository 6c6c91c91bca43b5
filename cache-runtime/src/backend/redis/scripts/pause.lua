-- Replaces a lease by a pause. KEYS: lease. ARGV: token, life of the pause in ms.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 16) == ARGV[1] then
  redis.call('SET', KEYS[1], string.rep('\0', 16) .. string.sub(held, 17, 32) .. ARGV[2], 'PX', ARGV[2])
  return 1
end
return 0
