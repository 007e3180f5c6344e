-- promote: pick from batches that are due those a worker should be told of, and lease them to the queue.
--
-- KEYS  1 schedule   zset    batch id -> due (ms)
--       2.. batches  hash    the ids found due, in the order of ARGV
-- ARGV  1 now (ms)
--       2 first lease (ms); it doubles with each promotion of the same batch
--       3 longest lease (ms)
--       4.. batch ids
--
-- Returns a flat list: batch id, queue, batch id, queue, ...
local now = tonumber(ARGV[1])
local out = {}
for i = 2, #KEYS do
  local id = ARGV[i + 2]
  local due = redis.call('ZSCORE', KEYS[1], id)
  if due and tonumber(due) <= now then
    local batch = redis.call('HMGET', KEYS[i], 'kind', 'queue', 'lease', 'promotions')
    if not batch[1] then
      redis.call('ZREM', KEYS[1], id)
    elseif batch[3] and tonumber(batch[3]) > now then
      redis.call('ZADD', KEYS[1], batch[3], id)
    else
      local promotions = tonumber(batch[4] or '0')
      local lease = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(promotions, 16))
      redis.call('HSET', KEYS[i], 'promotions', promotions + 1)
      redis.call('ZADD', KEYS[1], now + lease, id)
      out[#out + 1] = id
      out[#out + 1] = batch[2] or 'events'
    end
  end
end
return out
