-- Takes reports, from any analyzer: what is new goes into the inbox, and its sender's mark moves with it.
-- KEYS: marks, inbox, the plan's revision, the number of reports ever taken.
-- ARGV: how many senders are known at most; then for each report: instance, sequence (20 digits), the mark's JSON (empty for an empty report, which
-- leaves no mark: repeated, it is empty again), the report.
-- Answers the plan's revision, then for each report what is known of its sender: the mark's 20 digits where the
-- report is a repeated one, `full` where it is of one sender more than are known, else nothing.
local answer = { redis.call('GET', KEYS[3]) or '0' }
redis.call('INCRBY', KEYS[4], (#ARGV - 1) / 4)
local most = tonumber(ARGV[1])
for at = 2, #ARGV, 4 do
  local known = redis.call('HGET', KEYS[1], ARGV[at])
  local last = known and string.sub(known, 1, 20) or ''
  if ARGV[at + 1] <= last then
    answer[#answer + 1] = last
  elseif not known and redis.call('HLEN', KEYS[1]) >= most then
    answer[#answer + 1] = 'full'
  else
    if ARGV[at + 2] ~= '' then
      redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2])
    end
    redis.call('XADD', KEYS[2], '*', 'r', ARGV[at + 3])
    answer[#answer + 1] = ''
  end
end
return answer
