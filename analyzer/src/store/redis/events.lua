-- Takes calls with events, from any analyzer: a call whose key is known is answered as before, every other goes
-- into the inbox and leaves its answer under its key.
-- KEYS: inbox, the number of calls ever taken.
-- ARGV: the time, and the life of a key, in milliseconds; then for each call: the key of its answer (or nothing),
-- its events as JSON, how many they are, how many experiments they are of, and for each of those: the key of its
-- units, what the keys of waiting exposures begin with, how many units have conversions, the units with how many
-- each, how many units are exposed, the units.
-- Answers for each call `new` or `known`, and the answer.
local now, life = ARGV[1], ARGV[2]
local minute = math.floor(tonumber(redis.call('TIME')[1]) / 60)
-- The first write: a Redis that is full refuses it, and thereby all.
redis.call('INCR', KEYS[2])
local answer = {}
local at = 3
local function word()
  at = at + 1
  return ARGV[at - 1]
end
while at <= #ARGV do
  local key, events, count = word(), word(), word()
  local known = key ~= '' and redis.call('GET', key)
  local unexposed = 0
  for _ = 1, tonumber(word()) do
    local units, waiting = word(), word()
    local present, before = waiting .. ':' .. minute, waiting .. ':' .. (minute - 1)
    for _ = 1, tonumber(word()) do
      local unit, conversions = word(), tonumber(word())
      -- Exposures that wait to be counted come before these events.
      if redis.call('HEXISTS', units, unit) == 0 and redis.call('SISMEMBER', present, unit) == 0
        and redis.call('SISMEMBER', before, unit) == 0 then
        unexposed = unexposed + conversions
      end
    end
    for _ = 1, tonumber(word()) do
      local unit = word()
      if not known then
        redis.call('SADD', present, unit)
        redis.call('EXPIRE', present, 120)
      end
    end
  end
  if known then
    answer[#answer + 1] = 'known'
    answer[#answer + 1] = known
  else
    local told = string.format('{"time":%s,"accepted":%s,"unexposed":%d}', now, count, unexposed)
    if key ~= '' then
      redis.call('SET', key, told, 'PX', life)
    end
    redis.call('XADD', KEYS[1], '*', 'e', events)
    answer[#answer + 1] = 'new'
    answer[#answer + 1] = told
  end
end
return answer
