-- The leader's commit: everything or nothing, and only while nobody has led after it.
-- KEYS: the last token, the lock, the number of commits.
-- ARGV: the writer's token (empty: nobody may lead), the number of commits that it knows of, then commands:
-- how many words, the words. Two are ours: `LINE key time member` is a line of history or of the audit at the next
-- free time,
-- `ENTRY key id field json` a report or events in the inbox, unless they are there.
if ARGV[1] ~= '' then
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return redis.error_reply('FENCED another analyzer has led after this one')
  end
elseif redis.call('EXISTS', KEYS[2]) == 1 then
  return redis.error_reply('HELD an analyzer leads')
end
if (redis.call('GET', KEYS[3]) or '0') ~= ARGV[2] then
  return redis.error_reply('STALE another commit came before')
end
-- The first write: a Redis that is full refuses it, and thereby all.
redis.call('INCR', KEYS[3])
local at = 3
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local command = {}
  for word = 1, words do
    command[word] = ARGV[at + word]
  end
  if command[1] == 'LINE' then
    if not redis.call('ZSCORE', command[2], command[4]) then
      local score = tonumber(command[3])
      local last = redis.call('ZREVRANGE', command[2], 0, 0, 'WITHSCORES')
      if last[2] and tonumber(last[2]) >= score then score = tonumber(last[2]) + 1 end
      redis.call('ZADD', command[2], string.format('%.0f', score), command[4])
    end
  elseif command[1] == 'ENTRY' then
    if #redis.call('XRANGE', command[2], command[3], command[3]) == 0 then
      redis.call('XADD', command[2], command[3], command[4], command[5])
    end
  else
    redis.call(unpack(command))
  end
  at = at + words + 1
end
return 'OK'
