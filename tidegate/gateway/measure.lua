-- Measures answers as they pass: when content came, the longest gap, whether the end mark was seen. It holds nothing
-- back and changes nothing. Of what it reads it keeps numbers and the finish reason, never a text.
--
-- A broken-off answer ends without a word to this script, so what is known is written down while it passes: whenever
-- something new is known, and at least every 0.1 s in which something comes. Times are microseconds since the
-- answer's headers. The record is one text; `measured.py` reads it.

local find, match, sub, gsub, byte = string.find, string.match, string.sub, string.gsub, string.byte
local concat = table.concat

local SPACE, KEY = "tidegate.measure", "answer"
local NOTE_EVERY = 100000
local MAX_LINE, MAX_PLAIN, MAX_REQUEST = 65536, 65536, 8388608
local LOOK_BACK = 32
local CR, BLANK = 13, 32

local function now(handle)
  return tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND))
end

-- Content in the sense of the interfaces of OpenAI (chat, completions, responses) and Anthropic (messages), all of which
-- engines speak: text, reasoning, a refusal or a tool call; not the role alone.
local function has_content(text)
  return find(text, '"content":%s*"[^"]') or find(text, '"text":%s*"[^"]')
    or find(text, '"tool_calls":%s*%[%s*{') or find(text, '"reasoning_content":%s*"[^"]')
    or find(text, '"reasoning":%s*"[^"]') or find(text, '"refusal":%s*"[^"]')
    or find(text, '"function_call":%s*{') or find(text, '"content":%s*%[%s*{')
    or find(text, '"delta":%s*"[^"]') or find(text, '"thinking":%s*"[^"]') or find(text, '"partial_json":%s*"[^"]')
end

-- A JSON object as far as cheap looks can tell: strings that end, braces that match, no word that JSON lacks.
local function is_object(text)
  if find(text, "\\", 1, true) then text = gsub(text, "\\.", "") end
  local bare = gsub(text, '"[^"]*"', "0")
  if find(bare, '"', 1, true) or find(bare, "[A-DF-Zb-dg-kmo-qv-z]") then return false end
  return match(bare, "^%s*%b{}()%s*$") ~= nil and not find(bare, "[,:]%s*[,:}%]]")
end

local function number_of(text, name)
  return match(text, '"' .. name .. '":%s*(%d+)')
end

-- What an answer or one of its events tells besides its text.
local function learn(seen, text)
  local finish = match(text, '"finish_reason":%s*"(%a[%w_]*)"') or match(text, '"stop_reason":%s*"(%a[%w_]*)"')
  if finish then
    seen.finish = sub(finish, 1, LOOK_BACK)
    seen.is_news = true
  end
  if find(text, '"usage":', 1, true) or find(text, '"timings":', 1, true) then
    seen.tokens = number_of(text, "completion_tokens") or number_of(text, "predicted_n")
      or number_of(text, "output_tokens") or seen.tokens
    seen.prompt = number_of(text, "prompt_tokens") or number_of(text, "prompt_n")
      or number_of(text, "input_tokens") or seen.prompt
    seen.is_news = true
  end
end

local function note(handle, seen)
  seen.noted, seen.is_news = seen.last, false
  handle:streamInfo():dynamicMetadata():set(SPACE, KEY, concat({
    seen.kind, seen.first, seen.last, seen.longest, seen.pieces, seen.done, seen.bad, seen.failed,
    seen.finish, seen.tokens, seen.prompt,
  }, " "))
end

-- Something with content came at this time.
local function tick(seen, at)
  if seen.pieces > 0 and at - seen.last > seen.longest then seen.longest = at - seen.last end
  seen.pieces = seen.pieces + 1
  seen.last = at
end

local function event(seen, text, at)
  if text == "[DONE]" or match(text, "^%[DONE%]%s*$") then
    seen.done, seen.is_news = 1, true
    return
  end
  if not is_object(text) then
    seen.bad, seen.is_news = seen.bad + 1, true
    return
  end
  if seen.first < 0 and has_content(text) then
    seen.first, seen.is_news = at, true
  end
  local is_plain = find(text, '"finish_reason":%s*null')
  if seen.first >= 0 and (is_plain or not find(text, '"choices":%s*%[%s*%]')) then seen.came = true end
  if find(text, '^%s*{%s*"error":') then seen.failed, seen.is_news = 1, true end
  if not is_plain or find(text, '"usage":{', 1, true) or find(text, '"usage": {', 1, true) then learn(seen, text) end
end

-- Streams of responses and messages name their events and have no [DONE]: the last one's name says that it is over.
local function named(seen, name)
  if name == "message_stop" or name == "response.completed" or name == "response.incomplete" then
    seen.done, seen.is_news = 1, true
  elseif name == "response.failed" or name == "error" then
    seen.failed, seen.is_news = 1, true
  end
end

local function lines(seen, text, at)
  local from = 1
  while true do
    local stop = find(text, "\n", from, true)
    if not stop then return sub(text, from) end
    local last = byte(text, stop - 1) == CR and stop - 2 or stop - 1
    if sub(text, from, from + 4) == "data:" then
      event(seen, sub(text, byte(text, from + 5) == BLANK and from + 6 or from + 5, last), at)
    elseif last >= from and not find(text, "^:", from) then
      -- Another field of an event, or nothing that may stand here.
      local name = match(text, "^event:%s*([%w_.]+)", from)
      if name then named(seen, name)
      elseif find(text, "^error:", from) then seen.failed, seen.is_news = 1, true
      elseif not find(text, "^%l+:", from) then seen.bad, seen.is_news = seen.bad + 1, true end
    end
    from = stop + 1
  end
end

-- A line that is longer than what is kept is no fault of the answer: its head tells whether content came, and the rest
-- of it is not looked at.
local function too_long(seen, head, at)
  if seen.first < 0 and has_content(head) then
    seen.first, seen.is_news = at, true
  end
  seen.came, seen.is_in_long = seen.first >= 0, true
  return ""
end

local function unread(seen, text)
  if not seen.is_in_long then return text end
  local stop = find(text, "\n", 1, true)
  if not stop then return "" end
  seen.is_in_long = false
  return sub(text, stop + 1)
end

local function stream(handle, seen, start)
  local rest = ""
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local at = now(handle) - start
      seen.came = false
      rest = lines(seen, rest .. unread(seen, chunk:getBytes(0, length)), at)
      if #rest > MAX_LINE then rest = too_long(seen, rest, at) end
      if seen.came then tick(seen, at) end
      if seen.is_news or at - seen.noted > NOTE_EVERY then note(handle, seen) end
    end
  end
  if find(rest, "%S") then seen.bad = seen.bad + 1 end
  note(handle, seen)
end

-- A plain answer is looked at when its last byte came, and passed on before that.
local function plain(handle, seen, start)
  local parts, size, total = {}, 0, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    total = total + length
    if length > 0 and size < MAX_PLAIN then
      parts[#parts + 1] = chunk:getBytes(0, length)
      size = size + length
    end
  end
  seen.last = now(handle) - start
  local text = concat(parts)
  if has_content(text) then seen.first, seen.pieces = seen.last, 1 end
  if find(text, '^%s*{%s*"error":') then seen.failed = 1 end
  if total == size and not is_object(text) then seen.bad = 1 end
  learn(seen, text)
  if total > size then seen.kind = "long" end
  seen.done = 1
  note(handle, seen)
end

-- An answer in another encoding or of another kind: only its times.
local function opaque(handle, seen, start)
  for chunk in handle:bodyChunks() do
    if chunk:length() > 0 then
      local at = now(handle) - start
      if seen.first < 0 then seen.first, seen.is_news = at, true end
      tick(seen, at)
      if seen.is_news or at - seen.noted > NOTE_EVERY then note(handle, seen) end
    end
  end
  seen.done = 1
  note(handle, seen)
end

-- Whether a stream was asked for, also when the answer is an error. A quote inside a prompt is escaped, so a prompt
-- cannot say it.
function envoy_on_request(handle)
  local seen, is_stream, tail = 0, false, ""
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 and not is_stream and seen < MAX_REQUEST then
      local text = tail .. chunk:getBytes(0, length)
      seen = seen + length
      tail = sub(text, -LOOK_BACK)
      if find(text, '"stream"%s*:%s*true') then
        is_stream = true
        handle:streamInfo():dynamicMetadata():set(SPACE, "asked", "stream")
      end
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind, encoding = headers:get("content-type") or "", headers:get("content-encoding")
  local seen = {
    kind = "opaque", first = -1, last = 0, longest = 0, pieces = 0, done = 0, bad = 0, failed = 0,
    finish = "-", tokens = "-", prompt = "-", noted = 0, is_news = false, came = false, is_in_long = false,
  }
  local measure = opaque
  if not encoding or encoding == "identity" then
    if find(kind, "text/event-stream", 1, true) then seen.kind, measure = "stream", stream
    elseif find(kind, "application/json", 1, true) then seen.kind, measure = "plain", plain end
  end
  local start = now(handle)
  note(handle, seen)
  measure(handle, seen, start)
end
