-- Gives each request one id and one trace, before anything else looks at it.
--
-- What a client asks to be called is taken only if it can harm no log and no header; else the id stays that Envoy made.
-- The rules are those of `tidegate/correlation/identifiers.py`. An error here lets a request pass with Envoy's own id.

local ASKED, ID, TRACE, STATE = "x-tidegate-asked-id", "x-request-id", "traceparent", "tracestate"
local MAX_STATE = 512

local function is_id(text)
  return #text >= 8 and #text <= 64 and text:find("^[A-Za-z0-9][A-Za-z0-9._-]+$") ~= nil
end

-- Trace and span, or nil. All zeros are invalid by the standard.
local function parsed(text)
  if not text or #text ~= 55 then return nil end
  local trace, span = text:match("^00%-([0-9a-f]+)%-([0-9a-f]+)%-[0-9a-f][0-9a-f]$")
  if not trace or #trace ~= 32 or #span ~= 16 then return nil end
  if not trace:find("[^0]") or not span:find("[^0]") then return nil end
  return trace, span
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local own, asked = headers:get(ID) or "", headers:get(ASKED)
  local trace, span = parsed(headers:get(TRACE))
  if not trace then
    -- Envoy's id is a random UUID: its digits are a trace of their own.
    trace = own:gsub("-", "")
    span = trace:sub(17)
    headers:remove(STATE)
    if parsed("00-" .. trace .. "-" .. span .. "-00") then
      headers:replace(TRACE, "00-" .. trace .. "-" .. span .. "-00")
    else
      headers:remove(TRACE)
      trace, span = "", ""
    end
  elseif #(headers:get(STATE) or "") > MAX_STATE then
    headers:remove(STATE)
  end
  if asked then
    if is_id(asked) then headers:replace(ID, asked) end
    headers:remove(ASKED)
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("tidegate.ids", "trace_id", trace)
  metadata:set("tidegate.ids", "span_id", span)
end
