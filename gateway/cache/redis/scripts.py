"""What Redis does in one step: Lua, run by EVALSHA.

`fences` is a hash: `epoch`, a random name that a new one begins with; `run`, which server made it;
`number`, of the newest invalidation; `followed`, a place in the change log; and for each fence that
was ever raised in this epoch, the number of the invalidation that did. A hash that is lost, by
eviction or a restart, is made anew under another epoch, and what was stamped with the old one is
not served any more. `log` is a list of the newest invalidations; `leases` has the replicas with the
moment (ms) until which they may answer out of their own memory; `seen`, the number up to which they
have forgotten what they had to.
"""

KEPT_NOTICES = 1000
# The moment at which the leases were made is a member among them, far after every lease.
BIRTH, BORN = "*", 10**15

_BEGIN = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch or redis.call('HGET', KEYS[1], 'run') ~= run then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', run, 'number', 0)
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# Every script has the KEYS fences log leases seen.
# ARGV fresh-epoch replica lease-ms known-epoch known-number.
# Gives epoch, number, Redis's time in ms, and the notices after the known number, newest first.
RENEW = f"""{_BEGIN}
local number = tonumber(redis.call('HGET', KEYS[1], 'number'))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('ZADD', KEYS[3], now + {BORN}, '{BIRTH}')
end
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[3], 60000)
redis.call('PEXPIRE', KEYS[4], 60000)
local notices = {{}}
if epoch ~= ARGV[4] then
  redis.call('ZADD', KEYS[4], -1, ARGV[2])
else
  redis.call('ZADD', KEYS[4], ARGV[5], ARGV[2])
  if number > tonumber(ARGV[5]) then
    notices = redis.call('LRANGE', KEYS[2], 0, number - ARGV[5] - 1)
  end
end
return {{epoch, number, now, notices}}
"""

# ARGV fresh-epoch channel notice everything followed fence...
# Gives the epoch and the number of the invalidation.
INVALIDATE = f"""{_BEGIN}
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
for place = 6, #ARGV do redis.call('HSET', KEYS[1], ARGV[place], number) end
local followed = redis.call('HGET', KEYS[1], 'followed')
if ARGV[5] ~= '' then followed = ARGV[5] end
if ARGV[4] == '1' then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', run, 'number', number)
end
if followed then redis.call('HSET', KEYS[1], 'followed', followed) end
redis.call('LPUSH', KEYS[2], number .. ' ' .. ARGV[3])
redis.call('LTRIM', KEYS[2], 0, {KEPT_NOTICES - 1})
redis.call('PUBLISH', ARGV[2], number)
return {{epoch, number}}
"""

# ARGV replica lease-ms number. How many other replicas may not have forgotten yet. Where the leases
# are younger than a lease, one that was given before they were lost may still run.
WAITING = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local waiting = 0
local born = redis.call('ZSCORE', KEYS[3], '{BIRTH}')
if not born or now - (born - {BORN}) <= tonumber(ARGV[2]) then waiting = 1 end
for _, replica in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now, '+inf')) do
  local seen = redis.call('ZSCORE', KEYS[4], replica)
  if replica ~= ARGV[1] and replica ~= '{BIRTH}'
    and (not seen or tonumber(seen) < tonumber(ARGV[3])) then
    waiting = waiting + 1
  end
end
return waiting
"""
