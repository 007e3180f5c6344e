-- advance: move the store on to the next format, once every worker that lives can read it.
--
-- KEYS  1 meta      hash    'format': what is written
--       2 workers   hash    worker -> '<run id>|<its last beat, ms>'
--       3 formats   hash    worker -> newest format it reads and writes
-- ARGV  1 the caller   2 newest format of the caller
--       3 a worker whose last beat is before this (ms) is gone
--
-- It goes up by one. A worker that says nothing of formats is as old as the store.
--
-- Returns the format that the store is written in from now on.
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local format = tonumber(redis.call('HGET', KEYS[1], 'format') or ARGV[2])
if format >= tonumber(ARGV[2]) then
  return format
end
local workers, formats = redis.call('HGETALL', KEYS[2]), {}
local said = redis.call('HGETALL', KEYS[3])
for i = 1, #said, 2 do formats[said[i]] = tonumber(said[i + 1]) end
local living = {}
for i = 1, #workers, 2 do
  local at = tonumber(string.match(workers[i + 1], '|(%d+)$') or '0')
  if at >= tonumber(ARGV[3]) then
    living[workers[i]] = true
    if (formats[workers[i]] or format) <= format then
      return format
    end
  end
end
for worker, _ in pairs(formats) do
  if not living[worker] then
    redis.call('HDEL', KEYS[3], worker)
  end
end
redis.call('HSET', KEYS[1], 'format', format + 1)
return format + 1
