-- rewrite: put other bytes in a batch that waits or runs; whoever runs it goes on with what it has read.
--
-- KEYS  1 batch    hash
-- ARGV  1 the bytes that are replaced
--       2 the new bytes   3 how many deliveries they hold ('' for events and payloads, whose count never changes)
--
-- Returns 1, or 0 when the batch is gone or holds other bytes by now.
if redis.call('HGET', KEYS[1], 'body') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'body', ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'items', ARGV[3])
end
return 1
