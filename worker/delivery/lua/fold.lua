-- fold: records whose hour is over have expired; move their counts from the hour to the total.
--
-- KEYS  1 folding   hash    '<hour>:<letter>' -> records; 'past:<letter>' -> the total
-- ARGV  1.. hours that are over
--
-- Returns how many fields were folded.
local folded = 0
for _, hour in ipairs(ARGV) do
  for letter in string.gmatch('adurxep', '.') do
    local field = hour .. ':' .. letter
    local count = redis.call('HGET', KEYS[1], field)
    if count then
      redis.call('HINCRBY', KEYS[1], 'past:' .. letter, count)
      redis.call('HDEL', KEYS[1], field)
      folded = folded + 1
    end
  end
end
return folded
