-- Stores what is new of one task, all of it or nothing, where it is newer than what is there.
--
-- KEYS  the task's hash, its previews, its logs, its debug logs, its samples: all of one slot
-- ARGV  1 milliseconds until it expires   2 attempt   3 seq   4 run, '' for whoever compares before it sets
--       5 expected seq, '' for any, '0' for none stored   6 JSON of the state
--       7 worker, '' to leave it, '-' for none   8 JSON of the checkpoint, '' to leave it, '-' for none
--       9 number of a preview, '' for none   10 the preview   11 JSON of its facts (a text), of the numbers that
--       are dropped for it (texts), and of max_bytes and max_count of all the task's previews
--       12 how many log entries are kept   13 the id of the run's first log entry, 0 if unknown   14 status
--       then three a log entry: id, 1 for level debug, JSON
--
-- Returns {} where it was written, else attempt and seq of what is stored, 1 where that is of the same run, 1
-- where this run wrote an earlier attempt, and JSON of who asked the stored attempt to stop, '' for nobody.
local key, previews, logs, debug_logs = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local attempt, seq = tonumber(ARGV[2]), tonumber(ARGV[3])
local run, expected, worker, checkpoint = ARGV[4], ARGV[5], ARGV[7], ARGV[8]

local stored = redis.call('HMGET', key, 'attempt', 'seq', 'run', 'writer', 'log_id', 'past', 'cancel')
local stored_attempt, stored_seq = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
if run ~= '' and run == stored[4] and attempt == stored_attempt and seq == stored_seq then
  return {} -- written before, and the answer was lost
end
-- One run writes an attempt; who compares before it sets writes for whoever that is.
local mine = run == '' or not stored[3] or run == stored[3]
local newer = attempt > stored_attempt or (attempt == stored_attempt and mine)
if not (newer and seq > stored_seq and (expected == '' or tonumber(expected) == stored_seq)) then
  local was_past = run ~= '' and string.find(stored[6] or '', run, 1, true)
  return {stored_attempt, stored_seq, mine and 1 or 0, was_past and 1 or 0, stored[7] or ''}
end

redis.call('HSET', key, 'data', ARGV[6], 'attempt', ARGV[2], 'seq', ARGV[3], 'status', ARGV[14],
  'writer', run)
if attempt > stored_attempt then
  redis.call('HDEL', key, 'cancel')
end
if run ~= '' then
  if stored[3] and stored[3] ~= run then
    -- The newest twenty or so: an older run that knows of no answer has long been told.
    redis.call('HSET', key, 'past', string.sub(stored[3] .. ' ' .. (stored[6] or ''), 1, 340))
  end
  redis.call('HSET', key, 'run', run)
end
if worker == '-' then
  redis.call('HDEL', key, 'worker')
elseif worker ~= '' then
  redis.call('HSET', key, 'worker', worker)
end
if checkpoint == '-' then
  redis.call('HDEL', key, 'checkpoint')
elseif checkpoint ~= '' then
  redis.call('HSET', key, 'checkpoint', checkpoint)
end

if ARGV[9] ~= '' then
  local newest, kept = tonumber(ARGV[9]), cjson.decode(ARGV[11])
  redis.call('HSET', previews, ARGV[9], ARGV[10], 'facts:' .. ARGV[9], kept.facts)
  for _, name in ipairs(kept.dropped) do
    redis.call('HDEL', previews, name, 'facts:' .. name)
  end
  local numbers, size = {}, 0
  for _, name in ipairs(redis.call('HKEYS', previews)) do
    local number = tonumber(name)
    if number and number > newest then
      redis.call('HDEL', previews, name, 'facts:' .. name) -- of an earlier run, whose clock was ahead
    elseif number then
      numbers[#numbers + 1] = number
      size = size + redis.call('HSTRLEN', previews, name)
    end
  end
  -- The worker thins out its own; those of earlier attempts, which it does not know, leave here.
  table.sort(numbers)
  for i = 1, #numbers - 1 do
    if size <= kept.max_bytes and #numbers - i < kept.max_count then
      break
    end
    local name = string.format('%.0f', numbers[i])
    size = size - redis.call('HSTRLEN', previews, name)
    redis.call('HDEL', previews, name, 'facts:' .. name)
  end
end

-- An entry that came before, with an answer that was lost, is known by its id.
local log_id = tonumber(stored[5] or 0)
local last, appended = log_id, 0
for i = 15, #ARGV, 3 do
  local id = tonumber(ARGV[i])
  if id > last then
    redis.call('XADD', ARGV[i + 1] == '1' and debug_logs or logs, ARGV[i] .. '-0', 'entry', ARGV[i + 2])
    last, appended = id, appended + 1
  end
end
if last > log_id then
  -- The run counts its entries by their ids: those that are missing were dropped before they came here.
  local first, dropped = tonumber(ARGV[13]), 0
  if first > 0 then
    dropped = last - math.max(log_id, first - 1) - appended
  end
  redis.call('HSET', key, 'log_id', string.format('%.0f', last))
  local rest, debug = redis.call('XLEN', logs), redis.call('XLEN', debug_logs)
  local over = rest + debug - tonumber(ARGV[12])
  if over > 0 then
    -- A tenth of the bound is kept of level debug, so that the newest is there however much else is said.
    local cut = math.min(over, math.max(0, debug - math.floor(tonumber(ARGV[12]) / 10)))
    redis.call('XTRIM', debug_logs, 'MAXLEN', debug - cut)
    redis.call('XTRIM', logs, 'MAXLEN', rest - (over - cut))
    dropped = dropped + over
  end
  if dropped > 0 then
    redis.call('HINCRBY', key, 'logs_dropped', dropped)
  end
end

for i = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[i], ARGV[1])
end
return {}
