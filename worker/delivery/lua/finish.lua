-- finish: a batch is done with; count its events and remove it. The only place where they are counted.
--
-- KEYS  1 batch      hash
--       2 schedule   zset    batch id -> due (ms)
--       3 counters   hash
--       4 malformed  stream  events that could not be read
-- ARGV  1 batch id
--       2 token of this run
--       3 how many events it was accepted with (leave the queue)
--       4 parsed  5 malformed  6 filtered  7 duplicate  8 parent
--       9 longest length of the malformed stream
--       10.. one JSON text per malformed event
--
-- Returns 1, or 0 when the batch is no longer this run's (nothing is counted).
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then
  return 0
end
local door = redis.call('HGET', KEYS[1], 'door') or ''
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local names = {'parsed', 'malformed', 'filtered', 'duplicate', 'parent'}
if ARGV[3] ~= '0' then
  redis.call('HINCRBY', KEYS[3], 'events:queued', -tonumber(ARGV[3]))
end
for i, name in ipairs(names) do
  if ARGV[3 + i] ~= '0' then
    redis.call('HINCRBY', KEYS[3], 'events:' .. name, ARGV[3 + i])
    redis.call('HINCRBY', KEYS[3], 'door:' .. name .. '|' .. door, ARGV[3 + i])
  end
end
for i = 10, #ARGV do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', 'batch', ARGV[1], 'event', ARGV[i])
end
return 1
