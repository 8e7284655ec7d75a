-- Takes a request, a place and tokens in all dimensions of a call, or in none.
--
-- KEYS  two for each dimension: a hash of what was used and is held, and a sorted set of the leases, by when they end.
-- ARGV  lease, its time in ms, input tokens, output tokens; then for each dimension: most parallel calls (-1: any), whether it has
--       leases, the number of rates; and for each rate: field, kind (r, t, i, o), amount, burst, period in µs.
--
-- A field of a rate holds when its next cell is due, in µs by this server's clock. What is in the past is a full bucket.
-- Answers whether it fits, the dimension and the rate that refuse for longest (from 0; rate -1: parallel), the wait in µs; then for
-- each dimension: for each rate what is left and how many µs until it is whole; and free places, if those are limited.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease, lease_ms = ARGV[1], tonumber(ARGV[2])
local input, output = tonumber(ARGV[3]), tonumber(ARGV[4])
local tokens = {t = input + output, i = input, o = output}
local member = lease .. ':' .. ARGV[3] .. ':' .. ARGV[4]
local PLACE = 1000000

local function held_of(kind, held_in, held_out)
  if kind == 't' then return held_in + held_out end
  if kind == 'i' then return held_in end
  if kind == 'o' then return held_out end
  return 0
end

local function cost(rate, amount)
  return math.ceil(amount * rate.period / rate.amount)
end

local at = 5
local dimensions = {}
local worst = nil

local function refuse(dimension, rate, wait)
  if worst == nil or wait > worst.wait then
    worst = {dimension = dimension, rate = rate, wait = wait}
  end
end

for number = 1, #KEYS / 2 do
  local d = {hash = KEYS[2 * number - 1], leases = KEYS[2 * number], rates = {}}
  d.most, d.leased = tonumber(ARGV[at]), ARGV[at + 1] == '1'
  local count = tonumber(ARGV[at + 2])
  at = at + 3
  local fields = {'hi', 'ho'}
  for rate = 1, count do
    d.rates[rate] = {
      field = ARGV[at], kind = ARGV[at + 1], amount = tonumber(ARGV[at + 2]),
      burst = tonumber(ARGV[at + 3]), period = tonumber(ARGV[at + 4]),
    }
    fields[#fields + 1] = ARGV[at]
    at = at + 5
  end
  local values = redis.call('HMGET', d.hash, unpack(fields))
  d.held_in, d.held_out = tonumber(values[1] or 0), tonumber(values[2] or 0)
  for rate = 1, count do
    d.rates[rate].due = math.max(tonumber(values[rate + 2] or 0), now)
  end

  d.parallel = 0
  if d.leased then
    -- Leases that nobody renewed: their gateway died. What they held counts as used, since nobody will ever tell.
    local dead = redis.call('ZRANGEBYSCORE', d.leases, '-inf', now / 1000, 'LIMIT', 0, 200)
    for _, name in ipairs(dead) do
      local was_in, was_out = string.match(name, ':(%d+):(%d+)$')
      was_in, was_out = tonumber(was_in or 0), tonumber(was_out or 0)
      d.held_in, d.held_out = d.held_in - was_in, d.held_out - was_out
      for _, rate in ipairs(d.rates) do
        local used = held_of(rate.kind, was_in, was_out)
        if used > 0 and rate.amount > 0 then rate.due = rate.due + cost(rate, used) end
      end
      redis.call('ZREM', d.leases, name)
    end
    d.parallel = redis.call('ZCARD', d.leases)
    d.changed = #dead > 0
    if d.parallel == 0 then
      d.changed = d.changed or d.held_in ~= 0 or d.held_out ~= 0
      d.held_in, d.held_out = 0, 0
    end
    d.held_in, d.held_out = math.max(d.held_in, 0), math.max(d.held_out, 0)
    if d.most >= 0 and d.parallel >= d.most then refuse(number - 1, -1, PLACE) end
  end

  for index, rate in ipairs(d.rates) do
    local asked = 1
    if rate.kind ~= 'r' then asked = tokens[rate.kind] end
    local held = held_of(rate.kind, d.held_in, d.held_out)
    if asked > 0 and rate.amount > 0 then
      local wait = rate.due + cost(rate, held + asked) - cost(rate, rate.burst) - now
      if wait > 0 then refuse(number - 1, index - 1, wait) end
    end
  end
  dimensions[number] = d
end

for _, d in ipairs(dimensions) do
  if worst == nil then
    for _, rate in ipairs(d.rates) do
      if rate.kind == 'r' then rate.due = rate.due + cost(rate, 1) end
    end
    if d.leased then
      d.held_in, d.held_out = d.held_in + input, d.held_out + output
      d.parallel = d.parallel + 1
      redis.call('ZADD', d.leases, math.floor(now / 1000) + lease_ms, member)
    end
    d.changed = true
  end
  if d.changed then
    local write = {'hi', string.format('%.0f', d.held_in), 'ho', string.format('%.0f', d.held_out)}
    local whole = 0
    for _, rate in ipairs(d.rates) do
      write[#write + 1] = rate.field
      write[#write + 1] = string.format('%.0f', rate.due)
      if rate.amount > 0 then
        whole = math.max(whole, rate.due - now + cost(rate, held_of(rate.kind, d.held_in, d.held_out)))
      end
    end
    redis.call('HSET', d.hash, unpack(write))
    -- Until all is whole again, and the leases have been renewed or are dead.
    local keep = string.format('%.0f', math.ceil(whole / 1000) + 2 * lease_ms)
    redis.call('PEXPIRE', d.hash, keep)
    if d.leased then redis.call('PEXPIRE', d.leases, keep) end
  end
end

local answer = {1, 0, 0, 0}
if worst ~= nil then answer = {0, worst.dimension, worst.rate, worst.wait} end
for _, d in ipairs(dimensions) do
  for _, rate in ipairs(d.rates) do
    local held = held_of(rate.kind, d.held_in, d.held_out)
    if rate.amount > 0 then
      local used = rate.due - now + cost(rate, held)
      local left = math.floor((cost(rate, rate.burst) - used) * rate.amount / rate.period)
      answer[#answer + 1] = math.max(math.min(left, rate.burst), 0)
      answer[#answer + 1] = used
    else
      answer[#answer + 1] = 0
      answer[#answer + 1] = rate.period
    end
  end
  if d.most >= 0 then answer[#answer + 1] = math.max(d.most - d.parallel, 0) end
end
return answer
