-- early: whose request a report by MSG91's request id is about; it waits here when the answer has not been settled yet.
--
-- KEYS  1 request id   string  token, once the answer is settled
--                      hash    until then: '<recipient hash>' -> '<letter>|<reason>', reports that came early
-- ARGV  1 recipient hash   2 '<letter>|<reason>', '' for a question alone   3 how long it waits (ms)
--
-- Returns the token, or '' when the report waits; settle takes it along. That MSG91 took a message says nothing more
-- once its fate is known.
if redis.call('TYPE', KEYS[1]).ok == 'string' then
  return redis.call('GET', KEYS[1])
end
if ARGV[2] == '' then
  return ''
end
if string.sub(ARGV[2], 1, 1) ~= 'a' or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ''
