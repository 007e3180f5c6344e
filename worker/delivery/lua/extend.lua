-- extend: push the lease of a batch on while a worker is at it.
--
-- KEYS  1 batch      hash
--       2 schedule   zset    batch id -> due (ms)
-- ARGV  1 batch id
--       2 token of this run
--       3 new end of its lease (ms)
--
-- Returns 1, or 0 when the batch is no longer this run's.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'lease', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
