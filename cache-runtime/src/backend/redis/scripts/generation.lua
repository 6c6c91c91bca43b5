-- Returns the generation of a group, and 1 if the key held anything else. Creates the generation if
-- it is missing or damaged. KEYS: group. ARGV: new generation, its life in ms or 0 for none.
local known = redis.pcall('GET', KEYS[1])
if type(known) == 'string' and #known == 16 then return {known, 0} end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {redis.call('GET', KEYS[1]), known and 1 or 0}
