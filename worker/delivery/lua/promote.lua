-- promote: pick from batches that are due those a worker should be told of, and lease them to the queue.
--
-- KEYS  1 schedule   zset    batch id -> due (ms)
--       2.. batches  hash    the ids found due, in the order of the last ARGV
-- ARGV  1 now (ms)
--       2 first lease (ms); it doubles with each promotion of the same batch
--       3 longest lease (ms)
--       4 how many may be picked
--       5 q: how many queues there is a bound for; none means no bound
--       then two per queue: its name, and how many more messages it may hold
--       then the batch ids
--
-- What has waited, or was begun before, has a queue of its own ('events.retries'), so that it never stands behind all
-- that is new. A new batch whose queue has no room is most likely in it: it is looked at again when a lease is over, and
-- counts as lost after eight of them. Anything else without room stays due.
--
-- Returns a flat list: how many stayed due, then batch id, queue, batch id, queue, ...
local now, picked, stayed = tonumber(ARGV[1]), tonumber(ARGV[4]), 0
local bounds = tonumber(ARGV[5])
local room, out = {}, {}
for i = 1, bounds do
  room[ARGV[4 + 2 * i]] = tonumber(ARGV[5 + 2 * i])
end
local ids_at = 3 + 2 * bounds + 1
for i = 2, #KEYS do
  local id = ARGV[ids_at + i]
  local due = redis.call('ZSCORE', KEYS[1], id)
  if due and tonumber(due) <= now then
    local batch = redis.call('HMGET', KEYS[i], 'kind', 'queue', 'lease', 'promotions', 'runs', 'waited')
    local queue = batch[2] or 'events'
    local promotions = tonumber(batch[4] or '0')
    local lease = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(promotions, 16))
    local waited = batch[1] == 'deliveries' or batch[1] == 'grace' or batch[5] or batch[6] or promotions >= 8
    if bounds > 0 and not room[queue] then
      queue = 'events'
    end
    if waited and queue == 'events' then
      queue = 'events.retries'
    end
    local full = bounds > 0 and (room[queue] or 0) <= 0
    if not batch[1] then
      redis.call('ZREM', KEYS[1], id)
    elseif batch[3] and tonumber(batch[3]) > now then
      redis.call('ZADD', KEYS[1], batch[3], id)
    elseif full and queue == 'events' then
      redis.call('HSET', KEYS[i], 'promotions', promotions + 1)
      redis.call('ZADD', KEYS[1], now + lease, id)
    elseif full or picked <= 0 then
      stayed = stayed + 1
    else
      redis.call('HSET', KEYS[i], 'promotions', promotions + 1)
      redis.call('ZADD', KEYS[1], now + lease, id)
      picked = picked - 1
      if bounds > 0 then
        room[queue] = room[queue] - 1
      end
      out[#out + 1] = id
      out[#out + 1] = queue
    end
  end
end
return {stayed, unpack(out)}
