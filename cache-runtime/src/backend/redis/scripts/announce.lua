-- Adds functions and their variants to the registry. KEYS: registry. ARGV: maximum number of names,
-- maximum size of a function's variants in bytes, restoration mark or an empty text if the names
-- are new, then the name and the variant of each function.
if type(redis.pcall('HLEN', KEYS[1])) == 'table' then redis.call('DEL', KEYS[1]) end
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
return redis.call('HLEN', KEYS[1])
