-- queued: a batch that waits for a free slot of its lane is in the schedule now; was one freed for it before it was there?
--
-- KEYS  1 lane queue  zset    batch id -> since when (ms): batches that wait for a free slot
--       2 schedule    zset    batch id -> due (ms)
-- ARGV  1 now (ms)
--       2 batch id
--
-- Whoever freed a slot took it from the queue and passed it over, since it could not be woken yet: it is due at once.
--
-- Returns 1 when it is due, 0 when it still waits.
if redis.call('ZSCORE', KEYS[1], ARGV[2]) or not redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[2], 'XX', ARGV[1], ARGV[2])
return 1
