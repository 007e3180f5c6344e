-- report: the operator's word on a message that left under a token. Repeated, late and disordered reports are harmless.
--
-- KEYS  1 counters     hash
--       2 folding      hash    '<hour>:<letter>' -> records whose life ends in that hour
--       3 journal      stream
--       4 request      hash    index of the request; '_at:<recipient hash>' is when the report says that it happened,
--                              '_reported' how many of its deliveries have their final word
--       5 attention:i  zset
--       6 record       string
--       7 kept         string
--       8 attention:x  zset
--       9 awaiting     zset    tokens whose reports are awaited   10 unreported zset those that are overdue
-- ARGV  1 now (ms)   2 token   3 recipient hash
--       4 letter: d delivered, u undelivered, a taken by MSG91 and not yet decided   5 reason
--       6 hour at whose end the record's life ends   7 that moment (ms)
--       8 '<destination>|<action>'   9 journal: JSON about   10 journal: JSON lines   11 journal: longest length
--       12 when it happened: a letter for the kind of clock, and seconds; '' when unknown
--       13 deliveries in the request
--
-- Returns what was done: 'settled' (it was in doubt, had been given up, or waited to be sent again, which it now is not),
-- 'recorded' (it was accepted), 'repeated' (it said so already), 'outdated' (more, or something later, is known),
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
local letter, at, moment = ARGV[4], ARGV[12], '_at:' .. ARGV[3]

-- How this report's time stands to that of the last one: -1 earlier, 0 the same, 1 later; nil when they cannot be compared.
local function order()
  local before = redis.call('HGET', KEYS[4], moment)
  if not before or at == '' or string.sub(before, 1, 1) ~= string.sub(at, 1, 1) then
    return nil
  end
  local this, last = tonumber(string.sub(at, 2)), tonumber(string.sub(before, 2))
  return this < last and -1 or (this > last and 1 or 0)
end

-- Two final words on one message: the later one counts, of two at once the good one, the last to come when nobody knows.
local function outdated(said)
  if said ~= 'd' and said ~= 'u' then
    return false
  end
  local o = order()
  return letter == 'a' or o == -1 or (o == 0 and letter == 'u')
end

local function remember()
  local o = order()
  if at ~= '' and letter ~= 'a' and o ~= -1 and o ~= 0 and redis.call('EXISTS', KEYS[4]) == 1 then
    redis.call('HSET', KEYS[4], moment, at)
  end
end

if old == 's' then
  local waits = redis.call('HGET', KEYS[4], '_report:' .. ARGV[3])
  local said = waits and string.sub(waits, 1, 1)
  if said ~= letter and outdated(said) then
    return 'outdated'
  end
  remember()
  redis.call('HSET', KEYS[4], '_reports', '1', '_report:' .. ARGV[3], letter .. '|' .. ARGV[5])
  return 'pending'
end
if old == letter then
  remember()
  return 'repeated'
end
if outdated(old) then
  return 'outdated'
end
if not string.find('iaduxw', old, 1, true) then
  return 'other'
end
remember()
redis.call('SET', KEYS[6], letter .. '|' .. by .. '|' .. attempts .. '|' .. ARGV[1] .. '|' .. ARGV[6] .. '|' .. ARGV[2] .. '|' .. ARGV[5],
  'PXAT', ARGV[7])
if old_hour ~= '' and redis.call('HINCRBY', KEYS[2], old_hour .. ':' .. old, -1) == 0 then
  redis.call('HDEL', KEYS[2], old_hour .. ':' .. old)
end
redis.call('HINCRBY', KEYS[2], ARGV[6] .. ':' .. letter, 1)
redis.call('HINCRBY', KEYS[1], 'state:' .. old, -1)
redis.call('HINCRBY', KEYS[1], 'state:' .. letter, 1)
redis.call('HINCRBY', KEYS[1], 'to:' .. letter .. '|' .. ARGV[8], 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[11], '*', 'at', ARGV[1], 'about', ARGV[9], 'letters', letter, 'lines', ARGV[10])
if letter ~= 'a' and old ~= 'd' and old ~= 'u'
  and (redis.call('ZSCORE', KEYS[9], ARGV[2]) or redis.call('ZSCORE', KEYS[10], ARGV[2]))
  and redis.call('EXISTS', KEYS[4]) == 1
  and redis.call('HINCRBY', KEYS[4], '_reported', 1) >= tonumber(ARGV[13]) then
  redis.call('ZREM', KEYS[9], ARGV[2])
  redis.call('ZREM', KEYS[10], ARGV[2])
end
if old == 'i' or old == 'x' then
  redis.call('ZREM', old == 'i' and KEYS[5] or KEYS[8], string.sub(KEYS[6], -20))
  redis.call('DEL', KEYS[7])
  return 'settled'
end
return old == 'w' and 'settled' or 'recorded'
