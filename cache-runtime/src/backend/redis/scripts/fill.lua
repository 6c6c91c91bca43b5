-- Stores an entry and removes the lease. KEYS: entry, lease. ARGV: token, entry, life in ms;
-- optionally, to keep an existing entry with the same mark, the life of the pause in ms that
-- replaces the lease then, or 0 for none.
local held = redis.pcall('GET', KEYS[2])
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
return 1
