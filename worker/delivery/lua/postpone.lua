-- postpone: hand a batch back to the schedule, to be run again at a given time.
--
-- KEYS  1 batch      hash
--       2 schedule   zset    batch id -> due (ms)
-- ARGV  1 batch id
--       2 token of this run
--       3 due (ms)
--
-- Returns 1, or 0 when the batch is no longer this run's.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], 'token', 'lease', 'promotions')
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
