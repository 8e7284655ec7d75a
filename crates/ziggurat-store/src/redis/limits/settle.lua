-- Ends leases: their places are free, and what was used takes the place of what was held.
--
-- KEYS  two for each dimension of each lease, as for acquiring.
-- ARGV  for each lease: its name, input and output tokens held, input and output tokens used, whether it was never
--       asked for (it passed while this server was away), the number of dimensions; for each dimension the number of its token rates; and for each rate: field, kind (t, i, o), amount, period in µs.
--
-- May be sent again: a lease that is not there any more frees nothing twice. One that was taken for dead has its hold booked
-- already, so that only what it used beyond that is missing. (Where it was told already and the answer was lost, that much is
-- booked twice, in the limit's favour.)

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function of(kind, input, output)
  if kind == 't' then return input + output end
  if kind == 'i' then return input end
  return output
end

local at, key = 1, 1
while at <= #ARGV do
  local member = ARGV[at] .. ':' .. ARGV[at + 1] .. ':' .. ARGV[at + 2]
  local held_in, held_out = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local told_in, told_out = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local adopted, count = ARGV[at + 5] == '1', tonumber(ARGV[at + 6])
  at = at + 7
  for _ = 1, count do
    local hash, leases = KEYS[key], KEYS[key + 1]
    key = key + 2
    local used_in, used_out = told_in, told_out
    if redis.call('ZREM', leases, member) == 1 then
      if held_in > 0 and redis.call('HINCRBY', hash, 'hi', -held_in) < 0 then redis.call('HSET', hash, 'hi', 0) end
      if held_out > 0 and redis.call('HINCRBY', hash, 'ho', -held_out) < 0 then redis.call('HSET', hash, 'ho', 0) end
    elseif not adopted then
      used_in, used_out = math.max(told_in - held_in, 0), math.max(told_out - held_out, 0)
    end
    local rates = tonumber(ARGV[at])
    at = at + 1
    local whole = 0
    for _ = 1, rates do
      local field, kind = ARGV[at], ARGV[at + 1]
      local amount, period = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
      at = at + 4
      local used = of(kind, used_in, used_out)
      if used > 0 and amount > 0 then
        local due = math.max(tonumber(redis.call('HGET', hash, field) or 0), now)
        due = due + math.ceil(used * period / amount)
        redis.call('HSET', hash, field, string.format('%.0f', due))
        whole = math.max(whole, math.ceil((due - now) / 1000))
      end
    end
    -- A debt may last longer than anybody thought.
    if whole > redis.call('PTTL', hash) then redis.call('PEXPIRE', hash, string.format('%.0f', whole)) end
  end
end
return 1
