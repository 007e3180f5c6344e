-- claim: before a request leaves, mark exactly its deliveries as sending, under its token.
--
-- KEYS  1 counters   hash
--       2 claims     zset    token -> end of lease (ms)
--       3 request    hash    the request's index, written here
--       4 meta       hash    whether sending is held
--       5.. records  string  one per delivery
-- ARGV  1 now (ms)
--       2 token of the request
--       3 end of its lease (ms)
--       4 origin: the first characters of the id of the batch that brings them
--       5 batch id whose scheduled deliveries may be claimed ('' for none)
--       6 '<destination>|<action>' for the counters
--       7 what was in the request, for whoever finds the lease run out
--       8 recipient hashes, eight characters each, one per delivery
--       9 run id of the server that the caller knows and trusts ('' for any)
--
-- Nothing is claimed while sending is held, nor on a server that the caller has not met: what it sent may be forgotten.
--
-- A record that is missing, or scheduled under the given batch, is claimed. One already sending under this very token
-- is this call repeated and counts as claimed. Everything else is somebody else's and stays as it is.
--
-- Returns {'claimed', position (from 0), record, position, record, ...} with what was not claimed; or {'held', why}.
local now, token, origin, from = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
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
local records = redis.call('MGET', unpack(KEYS, 5))
local writes, index, blocked = {}, {}, {'claimed'}
local created, resumed, repeated = 0, 0, 0
for i = 1, #KEYS - 4 do
  local record = records[i]
  local claimed = true
  if not record then
    created = created + 1
    writes[#writes + 1] = KEYS[i + 4]
    writes[#writes + 1] = 's|' .. origin .. '|1|' .. now .. '||' .. token .. '|'
  else
    local letter, by, attempts, ref = string.match(record, '^(%a)|([^|]*)|(%d+)|%d+|%d*|([^|]*)|')
    if letter == 'w' and from ~= '' and ref == from then
      resumed = resumed + 1
      writes[#writes + 1] = KEYS[i + 4]
      writes[#writes + 1] = 's|' .. by .. '|' .. (tonumber(attempts) + 1) .. '|' .. now .. '||' .. token .. '|'
    elseif letter == 's' and ref == token then
      repeated = repeated + 1
    else
      claimed = false
      blocked[#blocked + 1] = tostring(i - 1)
      blocked[#blocked + 1] = record
    end
  end
  if claimed then
    index[#index + 1] = string.sub(ARGV[8], i * 8 - 7, i * 8)
    index[#index + 1] = string.sub(KEYS[i + 4], -20)
  end
end
if #writes == 0 then
  return blocked
end
redis.call('MSET', unpack(writes))
redis.call('HSET', KEYS[3], '_about', ARGV[6], '_items', ARGV[7], unpack(index))
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
