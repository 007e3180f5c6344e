-- release: a request is over; free its slot and tell the lane how it went.
--
-- KEYS  1 lane        hash
--       2 lane busy   zset    token -> end of lease (ms)
--       3 lane queue  zset    batches that wait for a free slot
--       4 schedule    zset    batch id -> due (ms)
-- ARGV  1 now (ms)   2 token
--       3 verdict: ok, fail, throttle, account, none
--       4 reason (fail, throttle, account)
--       5 pause asked for (ms; throttle)
--       6 latency (ms; ok)
--       7 configured concurrency (an operator's 'set:concurrency' wins)   8 floor of the adaptive limit   9 adaptive: '1'
--       10 failures in a row that close the lane   11 first pause of a closed lane (ms)   12 longest (ms)
--
-- A run of failures closes the lane; when the pause is over one request is let through to try (half open).
-- The adaptive limit falls on throttling and on answers much slower than the lane's own baseline, and rises on success.
--
-- Returns the batch id to wake, '' for none.
local now = tonumber(ARGV[1])
local verdict = ARGV[3]
local mine = redis.call('ZREM', KEYS[2], ARGV[2]) == 1
local lane = redis.call('HMGET', KEYS[1], 'until', 'probe', 'failures', 'trips', 'limit', 'baseline', 'lowered', 'held',
  'set:concurrency')
local paused_until = tonumber(lane[1] or '0')
local ceiling = tonumber(lane[9] or ARGV[7])
local limit = tonumber(lane[5] or ceiling)

local function lower(factor)
  if ARGV[9] == '1' and now - tonumber(lane[7] or '0') >= 1000 then
    limit = math.max(tonumber(ARGV[8]), math.min(limit, ceiling) * factor)
    redis.call('HSET', KEYS[1], 'limit', string.format('%.3f', limit), 'lowered', now)
  end
end

local function close(pause, reason, probe)
  paused_until = math.max(paused_until, now + pause)
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', paused_until), 'reason', reason, 'since', now)
  if probe then
    redis.call('HSET', KEYS[1], 'probe', '1')
  end
end

if verdict == 'throttle' then
  close(tonumber(ARGV[5]), ARGV[4], false)
  lower(0.7)
elseif not mine then
  return ''
elseif verdict == 'ok' then
  redis.call('HDEL', KEYS[1], 'failures', 'trips', 'probe')
  if lane[2] then
    redis.call('HDEL', KEYS[1], 'until', 'reason', 'since')
    paused_until = 0
  end
  if ARGV[9] == '1' then
    local latency = tonumber(ARGV[6])
    local baseline = tonumber(lane[6] or ARGV[6])
    if latency > 3 * baseline + 100 then
      lower(0.9)
    elseif limit < ceiling then
      limit = math.min(ceiling, limit + 1 / math.max(1, limit))
      redis.call('HSET', KEYS[1], 'limit', string.format('%.3f', limit))
    end
    redis.call('HSET', KEYS[1], 'baseline', string.format('%.3f', baseline * 0.98 + latency * 0.02))
  end
elseif verdict == 'fail' or verdict == 'account' then
  local failures = tonumber(lane[3] or '0') + 1
  if verdict == 'account' or lane[2] or failures >= tonumber(ARGV[10]) then
    local trips = tonumber(lane[4] or '0')
    if paused_until <= now then
      trips = trips + 1
    end
    redis.call('HSET', KEYS[1], 'trips', trips, 'failures', 0)
    close(math.min(tonumber(ARGV[12]), tonumber(ARGV[11]) * 2 ^ math.min(math.max(trips - 1, 0), 16)), ARGV[4], true)
  else
    redis.call('HSET', KEYS[1], 'failures', failures)
  end
end
if paused_until > now or lane[8] then
  return ''
end
-- Batches that ran meanwhile are gone from the schedule: pass them over, or a wake-up would be lost.
local waiting = redis.call('ZPOPMIN', KEYS[3])
while waiting[1] and not redis.call('ZSCORE', KEYS[4], waiting[1]) do
  waiting = redis.call('ZPOPMIN', KEYS[3])
end
if not waiting[1] then
  return ''
end
redis.call('ZADD', KEYS[4], 'XX', now, waiting[1])
return waiting[1]
