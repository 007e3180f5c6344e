-- swap: put a rewritten copy of the journal in its place, with what was written since it was copied.
--
-- KEYS  1 journal  stream
--       2 copy     stream  its entries have the ids of those they stand for
--       3 meta     hash    'journal': how often the journal was swapped
-- ARGV  1 what 'journal' was when the copy was begun ('0' when it was not there)
--       2 id of the last entry that was copied
--
-- Returns 1, or 0 when another copy came first: begin again.
if (redis.call('HGET', KEYS[3], 'journal') or '0') ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[2])
  return 0
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+')) do
  redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
end
redis.call('RENAME', KEYS[2], KEYS[1])
redis.call('PERSIST', KEYS[1])
redis.call('HINCRBY', KEYS[3], 'journal', 1)
return 1
