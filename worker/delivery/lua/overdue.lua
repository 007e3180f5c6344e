-- overdue: a request whose report window is over is awaited no longer; what of it was never reported is counted, once.
--
-- KEYS  1 awaiting     zset    token -> end of its report window (ms)
--       2 unreported   zset    token -> since when its deliveries are accepted (ms)
--       3 counters     hash
-- ARGV  1 token   2 deliveries of it that are accepted and not reported   3 since when (ms)   4 '<destination>|<action>'
--
-- Returns 1 when this call has struck it from the list, 0 when another one had.
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
  return 0
end
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  redis.call('HINCRBY', KEYS[3], 'unreported|' .. ARGV[4], ARGV[2])
end
return 1
