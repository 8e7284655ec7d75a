-- Says that leases are alive. One that is not there, since this server is new, is there again.
--
-- KEYS  two for each dimension of each lease, as for acquiring.
-- ARGV  the time of a lease in ms; for each lease: its name, input and output tokens held, the number of dimensions.

local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
local lease_ms = tonumber(ARGV[1])

local at, key = 2, 1
while at <= #ARGV do
  local member = ARGV[at] .. ':' .. ARGV[at + 1] .. ':' .. ARGV[at + 2]
  local held_in, held_out = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local count = tonumber(ARGV[at + 3])
  at = at + 4
  for _ = 1, count do
    local hash, leases = KEYS[key], KEYS[key + 1]
    key = key + 2
    if redis.call('ZADD', leases, now + lease_ms, member) == 1 then
      if held_in > 0 then redis.call('HINCRBY', hash, 'hi', held_in) end
      if held_out > 0 then redis.call('HINCRBY', hash, 'ho', held_out) end
    end
    for _, name in ipairs({hash, leases}) do
      local left = redis.call('PTTL', name)
      if left ~= -2 and left < 2 * lease_ms then redis.call('PEXPIRE', name, 2 * lease_ms) end
    end
  end
end
return 1
