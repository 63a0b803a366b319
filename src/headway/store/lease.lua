-- Renews the lease of one worker, or asks which of some workers have none.
--
-- KEYS  the leases, their epoch
-- ARGV  1 'renew', 'release', 'gone', 'trust' or 'count'   2 length of a lease, ms   then the workers
--
-- Leases count only once the same Redis server has served them for the length of one: after a restart, a
-- fail-over or a flush every worker has the time to come back before it is called gone. With 'trust' they count
-- at once: whoever started the server knows that no worker is alive.
--
-- Returns for 'renew' 1 where the worker had no lease, or another Redis server has come in between, else 0; for
-- 'gone' the workers that have none; for 'count' how many have one.
local leases, epoch = KEYS[1], KEYS[2]
local action, length = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if action == 'release' then
  return redis.call('ZREM', leases, ARGV[3])
end

if action == 'count' then
  return redis.call('ZCOUNT', leases, now, '+inf')
end

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if action == 'trust' then
  return redis.call('HSET', epoch, 'run_id', run_id, 'since', 0)
end
local known = redis.call('HMGET', epoch, 'run_id', 'since')
if known[1] ~= run_id then
  known[2] = now
  redis.call('HSET', epoch, 'run_id', run_id, 'since', now)
end

if action == 'renew' then
  local ends = tonumber(redis.call('ZSCORE', leases, ARGV[3]) or 0)
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', '(' .. now)
  redis.call('ZADD', leases, now + length, ARGV[3])
  local has_moved = tonumber(known[2]) > ends - length
  return (ends < now or has_moved) and 1 or 0
end

local gone = {}
if now - tonumber(known[2]) >= length then
  for i = 3, #ARGV do
    if tonumber(redis.call('ZSCORE', leases, ARGV[i]) or 0) < now then
      gone[#gone + 1] = ARGV[i]
    end
  end
end
return gone
