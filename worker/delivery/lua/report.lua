-- report: the operator's word on a message that left under a token. Repeated and late reports are harmless.
--
-- KEYS  1 counters     hash
--       2 folding      hash    '<hour>:<letter>' -> records whose life ends in that hour
--       3 journal      stream
--       4 request      hash    index of the request
--       5 attention:i  zset
--       6 record       string
--       7 kept         string
--       8 attention:x  zset
-- ARGV  1 now (ms)   2 token   3 recipient hash
--       4 letter: d delivered, u undelivered   5 reason
--       6 hour at whose end the record's life ends   7 that moment (ms)
--       8 '<destination>|<action>'   9 journal: JSON about   10 journal: JSON lines   11 journal: longest length
--
-- Returns what was done: 'settled' (it was in doubt, had been given up, or waited to be sent again, which it now is not),
-- 'recorded' (it was accepted), 'repeated' (it said so already),
-- 'pending' (the answer is still awaited; settle will ask for it), 'unknown' (no such record any more) or 'other'
-- (the delivery has since gone out under another token, or was decided otherwise).
local record = redis.call('GET', KEYS[6])
if not record then
  return 'unknown'
end
local old, by, attempts, old_hour, ref = string.match(record, '^(%a)|([^|]*)|(%d+)|%d+|(%d*)|([^|]*)|')
-- What waits to be sent again refers to its batch; it was in the request that is proved to have been taken.
if ref ~= ARGV[2] and old ~= 'w' then
  return 'other'
end
if old == 's' then
  redis.call('HSET', KEYS[4], '_reports', '1', '_report:' .. ARGV[3], ARGV[4] .. '|' .. ARGV[5])
  return 'pending'
end
if old == ARGV[4] then
  return 'repeated'
end
if not string.find('iaduxw', old, 1, true) then
  return 'other'
end
redis.call('SET', KEYS[6], ARGV[4] .. '|' .. by .. '|' .. attempts .. '|' .. ARGV[1] .. '|' .. ARGV[6] .. '|' .. ARGV[2] .. '|' .. ARGV[5],
  'PXAT', ARGV[7])
if old_hour ~= '' and redis.call('HINCRBY', KEYS[2], old_hour .. ':' .. old, -1) == 0 then
  redis.call('HDEL', KEYS[2], old_hour .. ':' .. old)
end
redis.call('HINCRBY', KEYS[2], ARGV[6] .. ':' .. ARGV[4], 1)
redis.call('HINCRBY', KEYS[1], 'state:' .. old, -1)
redis.call('HINCRBY', KEYS[1], 'state:' .. ARGV[4], 1)
redis.call('HINCRBY', KEYS[1], 'to:' .. ARGV[4] .. '|' .. ARGV[8], 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[11], '*', 'at', ARGV[1], 'about', ARGV[9], 'letters', ARGV[4], 'lines', ARGV[10])
if old == 'i' or old == 'x' then
  redis.call('ZREM', old == 'i' and KEYS[5] or KEYS[8], string.sub(KEYS[6], -20))
  redis.call('DEL', KEYS[7])
  return 'settled'
end
return old == 'w' and 'settled' or 'recorded'
