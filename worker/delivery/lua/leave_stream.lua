-- leave_stream: strike consumers from a group that hold nothing: one that goes, and those that have long been silent.
--
-- KEYS  1 stream     stream
-- ARGV  1 consumer group
--       2 the consumer that goes, '' for none
--       3 silence after which a consumer is gone (ms)
--
-- Returns how many were struck. One that still holds entries stays, so that others can claim them.
local struck = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local one = {}
  for i = 1, #fields, 2 do one[fields[i]] = fields[i + 1] end
  if one.pending == 0 and (one.name == ARGV[2] or one.idle >= tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], one.name)
    struck = struck + 1
  end
end
return struck
