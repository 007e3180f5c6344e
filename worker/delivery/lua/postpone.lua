-- postpone: hand a batch back to the schedule, to be run again at a given time.
--
-- KEYS  1 batch      hash
--       2 schedule   zset    batch id -> due (ms)
-- ARGV  1 batch id
--       2 token of this run; '' when it was not begun: its message is gone from the queue, and nobody is at it
--       3 due (ms)
--
-- Returns 1, or 0 when the batch is gone, or no longer this run's.
if ARGV[2] == '' then
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
  end
  redis.call('HSET', KEYS[1], 'waited', '1')
elseif redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then
  return 0
else
  redis.call('HDEL', KEYS[1], 'token', 'lease', 'promotions')
end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
