-- begin: take a batch to work on, under a token and a lease. A doubled id ends here.
--
-- KEYS  1 batch      hash
--       2 schedule   zset    batch id -> due (ms)
-- ARGV  1 batch id
--       2 now (ms)
--       3 token of this run
--       4 end of its lease (ms)
--
-- Returns {'gone'}, {'busy', end of the other run's lease} or {'run', field, value, ...}.
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'gone'}
end
local token, lease
for i = 1, #fields, 2 do
  if fields[i] == 'token' then token = fields[i + 1] end
  if fields[i] == 'lease' then lease = tonumber(fields[i + 1]) end
end
if token and token ~= ARGV[3] and lease and lease > tonumber(ARGV[2]) then
  return {'busy', tostring(lease)}
end
redis.call('HSET', KEYS[1], 'token', ARGV[3], 'lease', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'runs', 1)
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
return {'run', unpack(fields)}
