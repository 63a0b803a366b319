-- Stores the states of many tasks, each only where it is newer than what is there.
--
-- KEYS     two a task: its hash, and that of its previews, which live as long as it does
-- ARGV[1]  seconds until it expires
-- ARGV[2]  channel of changes
-- then six a task: id, attempt, seq, run, expected seq ('' for any, '0' for none stored), JSON
--
-- Returns one row a task: {} where it was written, else attempt and seq of what is stored, and 1 where that
-- is of the same run.
local ttl, channel = ARGV[1], ARGV[2]
local results, changed = {}, {}
for i = 1, #KEYS / 2 do
  local key, previews = KEYS[2 * i - 1], KEYS[2 * i]
  local at = 2 + (i - 1) * 6
  local attempt, seq = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local run, expected = ARGV[at + 4], ARGV[at + 5]
  local stored = redis.call('HMGET', key, 'attempt', 'seq', 'run', 'writer')
  local stored_attempt, stored_seq = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
  -- One run writes an attempt; who compares before it sets writes for whoever that is.
  local mine = run == '' or not stored[3] or run == stored[3]
  local newer = attempt > stored_attempt or (attempt == stored_attempt and mine)
  if run ~= '' and run == stored[4] and attempt == stored_attempt and seq == stored_seq then
    results[i] = {} -- written before, and the answer was lost
  elseif newer and seq > stored_seq and (expected == '' or tonumber(expected) == stored_seq) then
    redis.call('HSET', key, 'data', ARGV[at + 6], 'attempt', ARGV[at + 2], 'seq', ARGV[at + 3],
      'writer', run)
    if run ~= '' then
      redis.call('HSET', key, 'run', run)
    end
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', previews, ttl)
    changed[#changed + 1] = ARGV[at + 1]
    results[i] = {}
  else
    results[i] = {stored_attempt, stored_seq, mine and 1 or 0}
  end
end
if #changed > 0 then
  redis.call('PUBLISH', channel, table.concat(changed, ' '))
end
return results
