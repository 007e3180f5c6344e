-- settle: write down what became of deliveries: record, counters, journal, schedule and what is kept. All or nothing.
--
-- KEYS  1 counters      hash
--       2 folding       hash    '<hour>:<letter>' -> records whose life ends in that hour
--       3 journal       stream
--       4 schedule      zset    batch id -> due (ms)
--       5 claims        zset    token -> end of lease (ms)
--       6 request       hash    index of the request (untouched when ARGV 11 is '')
--       7 request id    string  MSG91's request id -> token (untouched when ARGV 12 is ''); a hash of early reports before
--       8 attention:i   zset    in doubt    9 attention:x zset dead    10 attention:r zset rejected
--       11 ..           string  n records
--       then            string  k kept payloads, k being 0 or n
--       then            hash    m batches for deliveries that are scheduled
-- ARGV  1 now (ms)
--       2 letters a record may have now; '-' allows that there is none
--       3 what its ref must be ('' for anything)
--       4 origin, for records made here
--       5 hour at whose end the life of a terminal record ends   6 that moment (ms)
--       7 '<destination>|<action>' for the counters
--       8 journal: JSON about the whole call   9 journal: JSON of one line per delivery   10 journal: longest length
--       11 token of the request, '' when none left; kept as ref of accepted and in doubt
--       12 MSG91's request id ('' when unknown)   13 how long the indexes live (ms)
--       14 one letter per delivery: its new state ('W': scheduled, and the attempt does not count; 'A': accepted, with a reason)
--       15 k   16 m
--       17, 18 as 5 and 6, for what is rejected or dead and may be replayed
--       then seven per batch: id, due (ms), kind, body, items, queue, slot; one of kind 'grace' is a timer for what is in doubt
--       then two per delivery whose new letter is not 'a': reason, and
--            for w and W the number of its batch (from 1), for others the payload to keep ('' keeps none)
--
-- Returns {pending, position (from 0), record, position, record, ...}: whether a report waits in the request's index, and
-- the deliveries that were not as expected and stay as they are. A missing record is returned as ''.
local now, allowed, wanted, origin = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local hour, ends, about, token = ARGV[5], ARGV[6], ARGV[7], ARGV[11]
local letters, k, m = ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16])
local n = #letters
local attention = {i = KEYS[8], x = KEYS[9], r = KEYS[10]}
local unfinished = {s = true, w = true, i = true}
local batches_at = 10 + n + k
local arg = 18 + m * 7
local records = redis.call('MGET', unpack(KEYS, 11, 10 + n))
local delta, folded, refused, kept_letters = {}, {}, {}, {}
local created, settled = 0, 0
local used = {}

-- Reports that came before the answer: what they prove to have been sent must not be sent again.
local reported = {}
if token ~= '' and redis.call('HEXISTS', KEYS[6], '_reports') == 1 then
  local index, fields = {}, redis.call('HGETALL', KEYS[6])
  for i = 1, #fields, 2 do
    index[fields[i]] = fields[i + 1]
  end
  local list = index['_to'] or ''
  for at = 1, #list, 28 do
    index[string.sub(list, at, at + 7)] = string.sub(list, at + 8, at + 27)
  end
  for field, report in pairs(index) do
    local key = index[string.match(field, '^_report:(.+)$') or '']
    if key then
      reported[key] = report
    end
  end
end

-- Most records of a request are alike, and taken: what the first of them becomes, the others become, too.
local like, taken
local alike = 0

local function settle_one(i, letter)
  local reason, extra = '', ''
  if letter ~= 'a' then
    reason, extra = ARGV[arg + 1], ARGV[arg + 2]
    arg = arg + 2
  end
  local counts = true
  if letter == 'W' then
    letter, counts = 'w', false
  elseif letter == 'A' then
    letter = 'a'
  end
  local record = records[i]
  local old, by, attempts, old_hour, ref
  if record then
    old, by, attempts, old_hour, ref = string.match(record, '^(%a)|([^|]*)|(%d+)|%d+|(%d*)|([^|]*)|')
  else
    old, by, attempts, old_hour, ref = '-', origin, '0', '', ''
  end
  local proof = letter == 'w' and reported[string.sub(KEYS[10 + i], -20)]
  if proof then
    letter, reason, extra = string.sub(proof, 1, 1), string.sub(proof, 3), ''
  end
  local fits = string.find(allowed, old, 1, true) and (old == '-' or wanted == '' or ref == wanted)
  if fits and old == 'i' and k == 0 then
    fits = false
  end
  if not fits then
    refused[#refused + 1] = tostring(i - 1)
    refused[#refused + 1] = record or ''
    kept_letters[i] = '.'
  else
    settled = settled + 1
    kept_letters[i] = letter
    if old == '-' then
      created = created + 1
    else
      delta[old] = (delta[old] or 0) - 1
      if old_hour ~= '' then
        local field = old_hour .. ':' .. old
        folded[field] = (folded[field] or 0) - 1
      end
      if attention[old] then
        redis.call('ZREM', attention[old], string.sub(KEYS[10 + i], -20))
      end
    end
    delta[letter] = (delta[letter] or 0) + 1
    if not counts and old == 's' then
      attempts = tostring(math.max(0, tonumber(attempts) - 1))
    elseif extra ~= '' and old ~= 's' and letter == 'w' and string.find('rx', old, 1, true) then
      attempts = '0'
    end
    local new_ref = token
    if letter == 'w' then
      used[tonumber(extra)] = true
      new_ref = ARGV[18 + tonumber(extra) * 7 - 6]
    elseif token == '' then
      new_ref = ref
    end
    local last_hour, last_ms = hour, ends
    if letter == 'r' or letter == 'x' then
      last_hour, last_ms = ARGV[17], ARGV[18]
    end
    local head = letter .. '|' .. by .. '|' .. attempts .. '|' .. now .. '|'
    if unfinished[letter] then
      redis.call('SET', KEYS[10 + i], head .. '|' .. new_ref .. '|' .. reason)
    else
      local field = last_hour .. ':' .. letter
      folded[field] = (folded[field] or 0) + 1
      local new = head .. last_hour .. '|' .. new_ref .. '|' .. reason
      redis.call('SET', KEYS[10 + i], new, 'PXAT', last_ms)
      if letter == 'a' and old == 's' and reason == '' and not like then
        like, taken = record, new
      end
    end
    if attention[letter] then
      redis.call('ZADD', attention[letter], now, string.sub(KEYS[10 + i], -20))
    end
    if k > 0 then
      local kept = KEYS[10 + n + i]
      if letter ~= 'a' and letter ~= 'w' and extra ~= '' then
        if letter == 'i' then
          redis.call('SET', kept, extra)
        else
          redis.call('SET', kept, extra, 'PXAT', last_ms)
        end
      elseif record then
        redis.call('DEL', kept)
      end
    end
  end
end

for i = 1, n do
  local letter = string.sub(letters, i, i)
  if letter == 'a' and k == 0 and records[i] == like then
    alike = alike + 1
    kept_letters[i] = 'a'
    redis.call('SET', KEYS[10 + i], taken, 'PXAT', ends)
  else
    settle_one(i, letter)
  end
end
if alike > 0 then
  settled = settled + alike
  delta['s'] = delta['s'] - alike
  delta['a'] = delta['a'] + alike
  local field = hour .. ':a'
  folded[field] = folded[field] + alike
end

if created > 0 then
  redis.call('HINCRBY', KEYS[1], 'created', created)
  redis.call('HINCRBY', KEYS[1], 'created|' .. about, created)
end
for letter, change in pairs(delta) do
  if change ~= 0 then
    redis.call('HINCRBY', KEYS[1], 'state:' .. letter, change)
  end
  if change > 0 then
    redis.call('HINCRBY', KEYS[1], 'to:' .. letter .. '|' .. about, change)
  end
end
for field, change in pairs(folded) do
  if change ~= 0 and redis.call('HINCRBY', KEYS[2], field, change) == 0 then
    redis.call('HDEL', KEYS[2], field)
  end
end
for j = 1, m do
  local at = 18 + j * 7 - 6
  if used[j] or (settled > 0 and ARGV[at + 2] == 'grace') then
    redis.call('HSET', KEYS[batches_at + j], 'received', now, 'kind', ARGV[at + 2], 'body', ARGV[at + 3],
      'items', ARGV[at + 4], 'count', '0', 'queue', ARGV[at + 5], 'slot', ARGV[at + 6])
    redis.call('ZADD', KEYS[4], ARGV[at + 1], ARGV[at])
  end
end
if settled > 0 and ARGV[8] ~= '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[10], '*', 'at', now, 'about', ARGV[8],
    'letters', table.concat(kept_letters), 'lines', ARGV[9])
end
local pending = '0'
if token ~= '' then
  redis.call('ZREM', KEYS[5], token)
  if redis.call('HDEL', KEYS[6], '_items') == 1 or redis.call('EXISTS', KEYS[6]) == 1 then
    if ARGV[12] ~= '' then
      redis.call('HSET', KEYS[6], '_request_id', ARGV[12])
      if redis.call('TYPE', KEYS[7]).ok == 'hash' then
        -- reports that came before this answer: see early
        local early = redis.call('HGETALL', KEYS[7])
        for i = 1, #early, 2 do
          redis.call('HSET', KEYS[6], '_reports', '1')
          -- that MSG91 took a message says nothing more once its fate is known
          local write = string.sub(early[i + 1], 1, 1) == 'a' and 'HSETNX' or 'HSET'
          redis.call(write, KEYS[6], '_report:' .. early[i], early[i + 1])
        end
      end
      redis.call('SET', KEYS[7], token, 'PX', ARGV[13])
    end
    if string.find(table.concat(kept_letters), '[aidu]') or #refused > 0 then
      redis.call('PEXPIRE', KEYS[6], ARGV[13])
      pending = redis.call('HEXISTS', KEYS[6], '_reports') == 1 and '1' or '0'
    else
      redis.call('DEL', KEYS[6])
    end
  end
end
return {pending, unpack(refused)}
