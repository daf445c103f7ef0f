-- Keeps a relay's stream small: entries older than ARGV[1] ms go, by Redis's clock and not by the nodes', and when the
-- stream takes more than ARGV[2] bytes, as many of the oldest as are too much. A stream that nobody writes to any more
-- goes away by itself. KEYS[1]: the stream. Returns its bytes and its length.
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
  return {0, 0}
end
local keep, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('XTRIM', key, 'MINID', '~', string.format('%.0f', now - keep))
local bytes, length = redis.call('MEMORY', 'USAGE', key), redis.call('XLEN', key)
if bytes > most and length > 1 then
  redis.call('XTRIM', key, 'MAXLEN', '~', math.floor(length * most / bytes * 0.75))
  bytes, length = redis.call('MEMORY', 'USAGE', key), redis.call('XLEN', key)
end
redis.call('PEXPIRE', key, 2 * keep)
return {bytes, length}
