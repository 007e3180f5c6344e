-- unlist: take people out of the index of a request that is over; its reports can be joined to them no more.
--
-- KEYS  1 request   hash    index of the request
-- ARGV  1.. recipient hashes, eight characters each
--
-- Returns how many entries went.
local gone = 0
local list = redis.call('HGET', KEYS[1], '_to')
local wanted = {}
for i = 1, #ARGV do
  wanted[ARGV[i]] = true
  redis.call('HDEL', KEYS[1], '_report:' .. ARGV[i], '_at:' .. ARGV[i])
  gone = gone + redis.call('HDEL', KEYS[1], ARGV[i]) -- an index of format 1 has a field for each recipient
end
if list then
  local left = {}
  for at = 1, #list, 28 do
    if wanted[string.sub(list, at, at + 7)] then
      gone = gone + 1
    else
      left[#left + 1] = string.sub(list, at, at + 27)
    end
  end
  redis.call('HSET', KEYS[1], '_to', table.concat(left))
end
return gone
