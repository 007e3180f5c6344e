-- discard: forget what is kept of deliveries that are over; their records, and so every count, stay as they are.
--
-- KEYS  1 attention:x  zset    dead
--       2 attention:r  zset    rejected
--       3 journal      stream
--       4 ..           string  n records
--       then           string  n kept payloads
-- ARGV  1 now (ms)   2 journal: longest length   3 journal: JSON about the whole call   4 journal: JSON lines
--       5 letters a record may have now; one that is gone may go too
--
-- Returns how many had something to forget; the same call again finds nothing.
local n = (#KEYS - 3) / 2
local letters, discarded = {}, 0
for i = 1, n do
  local record = redis.call('GET', KEYS[3 + i])
  local letter = record and string.sub(record, 1, 1) or '.'
  letters[i] = '.'
  if letter == '.' or string.find(ARGV[5], letter, 1, true) then
    local key = string.sub(KEYS[3 + i], -20)
    local found = redis.call('DEL', KEYS[3 + n + i]) + redis.call('ZREM', KEYS[1], key) + redis.call('ZREM', KEYS[2], key)
    if found > 0 then
      discarded = discarded + 1
      letters[i] = letter
    end
  end
end
if discarded > 0 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 'at', ARGV[1], 'about', ARGV[3],
    'letters', table.concat(letters), 'lines', ARGV[4])
end
return discarded
