-- accept: take the claim check of a batch. Its bytes and its schedule entry are written together.
--
-- KEYS  1 batch      hash    written here
--       2 schedule   zset    batch id -> due (ms)
--       3 counters   hash
-- ARGV  1 batch id
--       2 now (ms)
--       3 due (ms): when a worker that has not begun it is given another chance
--       4 how many events it holds (0 for kinds that hold none)
--       5.. field, value pairs of the batch (kind, body, door, queue, ...)
--
-- Returns 1 when written, 0 when the batch was there already (the same call again).
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'received', ARGV[2], 'count', ARGV[4], unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
local count = tonumber(ARGV[4])
if count > 0 then
  redis.call('HINCRBY', KEYS[3], 'events:received', count)
  redis.call('HINCRBY', KEYS[3], 'events:queued', count)
  redis.call('HINCRBY', KEYS[3], 'door:received|' .. (redis.call('HGET', KEYS[1], 'door') or ''), count)
end
return 1
