-- early: whose request a report by MSG91's request id is about; it waits here when the answer has not been settled yet.
--
-- KEYS  1 request id   string  token, once the answer is settled
--                      hash    until then: '<recipient hash>' -> '<letter>|<reason>', reports that came early
-- ARGV  1 recipient hash   2 '<letter>|<reason>'   3 how long it waits (ms)
--
-- Returns the token, or '' when the report waits; settle takes it along.
if redis.call('TYPE', KEYS[1]).ok == 'string' then
  return redis.call('GET', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ''
