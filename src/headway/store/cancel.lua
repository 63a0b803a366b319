-- Asks whoever runs a task to stop it.
--
-- KEYS  the task's hash
-- ARGV  1 JSON of who asks, and when
--
-- Returns {} for a task that is not stored, else its status and its worker, '' for none, before anything changed.
local found = redis.call('HMGET', KEYS[1], 'status', 'worker')
local status, worker = found[1], found[2] or ''
if not status then
  return {}
end
local is_over = status == 'completed' or status == 'failed' or status == 'cancelled'
if not is_over then
  redis.call('HSET', KEYS[1], 'cancel', ARGV[1])
end
return {status, worker}
