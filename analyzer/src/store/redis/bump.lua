-- After a commit without an answer: it is in, or it will never be. Answers the number of commits from now on.
-- KEYS: the last token, the number of commits. ARGV: the writer's token, or nothing.
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED another analyzer has led after this one')
end
return redis.call('INCR', KEYS[2])
