-- sweep: take from the list of what needs attention the deliveries whose records have expired.
--
-- KEYS  1 attention    zset    delivery key -> since when (ms)
--       2 ..           string  the records, in the order of ARGV
-- ARGV  1 ..           delivery keys
--
-- Returns how many were taken from it.
local gone = 0
for i, key in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[1 + i]) == 0 then
    gone = gone + redis.call('ZREM', KEYS[1], key)
  end
end
return gone
