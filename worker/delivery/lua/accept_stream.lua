-- accept_stream: take the claim check for entries of an event stream and acknowledge them, in one step.
--
-- KEYS  1 stream     stream  the entries; those that are taken leave it
--       2 batch      hash    written here, unless no event is left for it
--       3 schedule   zset    batch id -> due (ms)
--       4 counters   hash
--       5 malformed  stream  entries that cannot be read
-- ARGV  1 consumer group
--       2 batch id
--       3 now (ms)
--       4 due (ms): when a worker that has not begun the batch is given another chance
--       5 door   6 Celery queue
--       7 longest length of the malformed stream
--       8 n: how many events there are
--       9 their texts, one per line, each without a line break
--       10 .. 9 + n: the ids of their entries, in the same order
--       then three per entry that cannot be read: its id, a JSON text that says why, and what it held
--
-- An entry that is no longer pending was taken by somebody else: its event is left out, whoever asks. So neither a
-- second call nor a consumer that was thought dead takes anything twice.
--
-- Returns {events taken, entries recorded as malformed, entries found taken by others, events queued in all}.
local n = tonumber(ARGV[8])
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {n, (#ARGV - 9 - n) / 3, 0, tonumber(redis.call('HGET', KEYS[4], 'events:queued') or '0')}
end
local taken, mine, lost = {}, {}, 0
for i = 1, n do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[9 + i]) == 1 then
    taken[#taken + 1] = ARGV[9 + i]
    mine[i] = true
  else
    lost = lost + 1
  end
end
local count = #taken
local malformed = 0
for i = 10 + n, #ARGV, 3 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    taken[#taken + 1] = ARGV[i]
    malformed = malformed + 1
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[7], '*',
      'batch', ARGV[2], 'event', ARGV[i + 1], 'entry', ARGV[i], 'original', ARGV[i + 2])
  else
    lost = lost + 1
  end
end
if #taken > 0 then
  redis.call('XDEL', KEYS[1], unpack(taken))
  redis.call('HINCRBY', KEYS[4], 'events:received', #taken)
  redis.call('HINCRBY', KEYS[4], 'door:received|' .. ARGV[5], #taken)
end
if malformed > 0 then
  redis.call('HINCRBY', KEYS[4], 'events:malformed', malformed)
  redis.call('HINCRBY', KEYS[4], 'door:malformed|' .. ARGV[5], malformed)
end
if count > 0 then
  local body = ARGV[9]
  if count < n then
    local kept, i = {}, 0
    for line in string.gmatch(body, '[^\n]+') do
      i = i + 1
      if mine[i] then kept[#kept + 1] = line end
    end
    body = table.concat(kept, '\n')
  end
  redis.call('HSET', KEYS[2], 'received', ARGV[3], 'count', count, 'kind', 'events', 'body', body,
    'door', ARGV[5], 'destination', '', 'queue', ARGV[6])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
end
return {count, malformed, lost, redis.call('HINCRBY', KEYS[4], 'events:queued', count)}
