-- acquire: ask a lane for leave to make one request now.
--
-- KEYS  1 lane        hash
--       2 lane busy   zset    token -> end of lease (ms): requests under way
--       3 lane queue  zset    batch id -> since when (ms): batches that wait for a free slot
--       4 lanes       set     names of all lanes
--       5 schedule    zset    batch id -> due (ms)
-- ARGV  1 now (ms)
--       2 token of the request   3 end of its lease (ms)
--       4 cost: requests or SMS parts
--       5 rate: microseconds per unit of cost (0: no rate)   6 burst: units that may go at once
--       7 concurrency: requests under way at most   8 adaptive: '1' when the lane's own limit counts too
--       9 slot: '1' when the rate was paid for earlier
--       10 batch id that would wait for a free slot ('' when none)
--       11 lane name
--       12 microseconds between requests after a pause
--
-- An operator's settings ('set:rate', 'set:burst', 'set:concurrency') win over the given ones.
--
-- Returns {verdict, when (ms), reason, batch to wake}:
--   go     leave is given, the slot is taken
--   slot   the rate is used up; the cost is paid, come back at that time with slot = 1
--   pause  the lane is closed; come back at that time
--   full   too many requests under way; the batch waits, and is woken by a freed slot or at that time
local now = tonumber(ARGV[1])
local now_us = now * 1000
local lane = redis.call('HMGET', KEYS[1], 'tat', 'until', 'reason', 'held', 'probe', 'limit', 'spread',
  'set:rate', 'set:burst', 'set:concurrency')
local cost = tonumber(ARGV[4])
local interval = tonumber(lane[8] or ARGV[5])
local burst = tonumber(lane[9] or ARGV[6])
local concurrency = tonumber(lane[10] or ARGV[7])

local function spread_from(from_ms, reason)
  local at = math.max(from_ms * 1000, tonumber(lane[7] or '0'))
  redis.call('HSET', KEYS[1], 'spread', string.format('%.0f', at + math.max(tonumber(ARGV[12]), cost * interval)))
  return {'pause', string.format('%.0f', math.ceil(at / 1000)), reason, ''}
end

redis.call('SADD', KEYS[4], ARGV[11])
if redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return {'go', ARGV[1], '', ''}
end
if lane[4] then
  return spread_from(now + 30000, lane[4])
end
if lane[2] and tonumber(lane[2]) > now then
  return spread_from(tonumber(lane[2]), lane[3] or '')
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. now)
local busy = redis.call('ZCARD', KEYS[2])
if lane[5] and busy >= 1 then
  return spread_from(now + 1000, lane[3] or '')
end
local limit = concurrency
if ARGV[8] == '1' and lane[6] then
  limit = math.min(limit, math.floor(tonumber(lane[6])))
end
if busy >= limit then
  if ARGV[10] ~= '' then
    redis.call('ZADD', KEYS[3], 'NX', now, ARGV[10])
  end
  -- A freed slot wakes it; should that wake-up be lost, it comes back by itself, later the longer the queue is.
  return {'full', string.format('%.0f', now + 10000 + 20 * redis.call('ZCARD', KEYS[3])), 'concurrency', ''}
end
if interval > 0 and ARGV[9] ~= '1' then
  local tat = math.max(now_us, tonumber(lane[1] or '0')) + cost * interval
  local allowed = tat - math.max(burst, cost) * interval
  redis.call('HSET', KEYS[1], 'tat', string.format('%.0f', tat))
  if allowed > now_us then
    return {'slot', string.format('%.0f', math.ceil(allowed / 1000)), 'rate', ''}
  end
end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
local wake = ''
if not lane[5] and busy + 1 < limit then
  local waiting = redis.call('ZPOPMIN', KEYS[3])
  while waiting[1] and not redis.call('ZSCORE', KEYS[5], waiting[1]) do
    waiting = redis.call('ZPOPMIN', KEYS[3]) -- ran meanwhile: gone from the schedule
  end
  if waiting[1] then
    wake = waiting[1]
    redis.call('ZADD', KEYS[5], 'XX', now, wake)
  end
end
return {'go', ARGV[1], '', wake}
