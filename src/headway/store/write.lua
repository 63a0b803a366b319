-- Stores the states of many tasks, each only where it is newer than what is there.
--
-- KEYS     two a task: its hash, and that of its previews, which live as long as it does
-- ARGV[1]  seconds until it expires
-- ARGV[2]  channel of changes
-- then five a task: id, attempt, seq, expected seq ('' for any, '0' for none stored), JSON
--
-- Returns one row a task: {} where it was written, else {attempt, seq} of what is stored.
local ttl, channel = ARGV[1], ARGV[2]
local results, changed = {}, {}
for i = 1, #KEYS / 2 do
  local key, previews = KEYS[2 * i - 1], KEYS[2 * i]
  local at = 2 + (i - 1) * 5
  local attempt, seq, expected = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), ARGV[at + 4]
  local stored = redis.call('HMGET', key, 'attempt', 'seq')
  local stored_attempt, stored_seq = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
  local newer = attempt >= stored_attempt and seq > stored_seq
  if newer and (expected == '' or tonumber(expected) == stored_seq) then
    redis.call('HSET', key, 'data', ARGV[at + 5], 'attempt', attempt, 'seq', seq)
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', previews, ttl)
    changed[#changed + 1] = ARGV[at + 1]
    results[i] = {}
  else
    results[i] = {stored_attempt, stored_seq}
  end
end
if #changed > 0 then
  redis.call('PUBLISH', channel, table.concat(changed, ' '))
end
return results
