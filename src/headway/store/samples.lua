-- Stores what is new of one task's resource samples, where the run that took them is the one that runs the task.
--
-- KEYS  the task's hash, its samples: of one slot
-- ARGV  1 run   2 the samples after this time are replaced, UTC seconds   then two a sample: time, JSON
--
-- Returns 1 where they were stored, 0 where the task is not stored yet, or no more, -1 where another run has it.
local run = redis.call('HGET', KEYS[1], 'run')
if not run then
  return 0
end
if run ~= ARGV[1] then
  return -1
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf')
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1])
end
local left = redis.call('PTTL', KEYS[1])
if left > 0 then
  redis.call('PEXPIRE', KEYS[2], left)
end
return 1
