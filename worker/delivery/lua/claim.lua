-- claim: before a request leaves, mark exactly its deliveries as sending, under its token.
--
-- KEYS  1 counters   hash
--       2 claims     zset    token -> end of lease (ms)
--       3 request    hash    the request's index, written here
--       4 meta       hash    whether sending is held
--       5 lane busy  zset    token -> end of lease (ms): who holds a slot of its lane
--       6.. records  string  one per delivery
-- ARGV  1 now (ms)
--       2 token of the request
--       3 end of its lease (ms)
--       4 origin: the first characters of the id of the batch that brings them
--       5 batch id whose scheduled deliveries may be claimed ('' for none)
--       6 '<destination>|<action>' for the counters
--       7 what was in the request, for whoever finds the lease run out
--       8 the entries of the request's index, 28 characters per delivery: recipient hash (8) and key (20)
--       9 run id of the server that the caller knows and trusts ('' for any)
--       10 '1': only if the token holds a slot of its lane, which may have been asked for right before
--       11 format that the store is written in: 1 has a field of the index for each recipient
--
-- Nothing is claimed while sending is held, nor on a server that the caller has not met: what it sent may be forgotten.
--
-- A record that is missing, or scheduled under the given batch, is claimed. One already sending under this very token
-- is this call repeated and counts as claimed. Everything else is somebody else's and stays as it is.
--
-- Returns {'claimed', position (from 0), record, position, record, ...} with what was not claimed; {'held', why}; or
-- {'waits'} when there is no slot.
local now, token, origin, from = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
if ARGV[10] == '1' and not redis.call('ZSCORE', KEYS[5], token) then
  return {'waits'}
end
local held = redis.call('HGET', KEYS[4], 'held')
if held then
  return {'held', held}
end
if ARGV[9] ~= '' then
  local info = redis.pcall('INFO', 'server') -- a user may not be allowed to ask
  local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
  if run and run ~= ARGV[9] then
    return {'held', 'another server answers'}
  end
end
local n = #KEYS - 5
local writes, others, blocked = {}, {}, {'claimed'}
local created, resumed = 0, 0
local fresh = 's|' .. origin .. '|1|' .. now .. '||' .. token .. '|'
for i = 1, n do
  writes[2 * i - 1] = KEYS[i + 5]
  writes[2 * i] = fresh
end
-- Mostly all are new: then this has done it.
local all_new = redis.call('MSETNX', unpack(writes)) == 1
local records = {}
if all_new then
  created = n
else
  records, writes = redis.call('MGET', unpack(KEYS, 6)), {}
end
for i = 1, #records do
  local record = records[i]
  if not record then
    created = created + 1
    writes[#writes + 1] = KEYS[i + 5]
    writes[#writes + 1] = fresh
  else
    local letter, by, attempts, ref = string.match(record, '^(%a)|([^|]*)|(%d+)|%d+|%d*|([^|]*)|')
    if letter == 'w' and from ~= '' and ref == from then
      resumed = resumed + 1
      writes[#writes + 1] = KEYS[i + 5]
      writes[#writes + 1] = 's|' .. by .. '|' .. (tonumber(attempts) + 1) .. '|' .. now .. '||' .. token .. '|'
    elseif letter ~= 's' or ref ~= token then
      others[i] = true
      blocked[#blocked + 1] = tostring(i - 1)
      blocked[#blocked + 1] = record
    end
  end
end
if #writes == 0 then
  return blocked
end
local index = ARGV[8]
if #blocked > 1 then
  local entries = {}
  for i = 1, n do
    if not others[i] then
      entries[#entries + 1] = string.sub(index, i * 28 - 27, i * 28)
    end
  end
  index = table.concat(entries)
end
if not all_new then
  redis.call('MSET', unpack(writes))
end
if ARGV[11] == '1' then
  local fields = {}
  for at = 1, #index, 28 do
    fields[#fields + 1] = string.sub(index, at, at + 7)
    fields[#fields + 1] = string.sub(index, at + 8, at + 27)
  end
  redis.call('HSET', KEYS[3], '_about', ARGV[6], '_items', ARGV[7], unpack(fields))
else
  redis.call('HSET', KEYS[3], '_about', ARGV[6], '_items', ARGV[7], '_to', index)
end
redis.call('ZADD', KEYS[2], ARGV[3], token)
if created > 0 then
  redis.call('HINCRBY', KEYS[1], 'created', created)
  redis.call('HINCRBY', KEYS[1], 'created|' .. ARGV[6], created)
end
if resumed > 0 then
  redis.call('HINCRBY', KEYS[1], 'state:w', -resumed)
end
redis.call('HINCRBY', KEYS[1], 'state:s', created + resumed)
return blocked
