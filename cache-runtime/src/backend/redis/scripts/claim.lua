-- Claims a call. KEYS: entry, lease. ARGV: value of the new lease, its life in ms, expected mark of
-- the entry, claim mode (normal, ignore or force); one text with the remaining life in ms that an
-- accepted entry must exceed, the maximum size of an entry in bytes and 1 if a pause is respected;
-- optionally the value of a lease that may be replaced.
local entry, damaged = ARGV[4] == 'normal' and redis.pcall('GETEX', KEYS[1]), 0
local taken = ARGV[4] ~= 'force' and not entry and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
if not taken then
  local beyond, most, pauses = string.match(ARGV[5], '(%S+) (%S+) (%S+)')
  if type(entry) == 'table' then
    damaged = 1
  elseif entry and #entry <= tonumber(most) and string.sub(entry, 1, 3) == string.sub(ARGV[3], 1, 3)
    and string.sub(entry, 5, #ARGV[3]) == string.sub(ARGV[3], 5) then
    beyond = tonumber(beyond)
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
return 0
