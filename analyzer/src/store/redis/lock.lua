-- Takes the lock, or keeps it. KEYS: the lock, the last token.
-- ARGV: who, as JSON; for how long, in milliseconds (0: for ever, and whoever holds it loses it); the token that
-- this analyzer has led with, or nothing; a new token's random part.
-- Answers what was found: 'mine' and the token, 'lost' and the holder, or 'other', the holder and the
-- milliseconds that are left to it.
local held = redis.call('GET', KEYS[1])
local last = redis.call('GET', KEYS[2]) or ''
local token = ARGV[3]
if token ~= '' and last ~= token then
  return { 'lost', held or '' }
end
local ours = token ~= '' and held and string.sub(held, 1, #token + 1) == token .. ' '
if held and not ours and ARGV[2] ~= '0' then
  return { 'other', held, tostring(redis.call('PTTL', KEYS[1])) }
end
if token == '' then
  local number = tonumber(string.match(last, '^%d+') or '0') + 1
  token = string.format('%d-%s', number, ARGV[4])
  redis.call('SET', KEYS[2], token)
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1])
else
  redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
end
return { 'mine', token }
