-- Admits a request whose API key has a known SHA-256 digest. Clear keys are never in this file.
--
-- Before this text stand PROBE (our own probe's identity) and KEYS: digest -> "org identity expiry", the expiry in
-- Unix seconds or 0. Each service's routes say which organization may call: LuaPerRoute.filter_context.
--
-- An error inside a Lua filter lets a request pass, so whatever is not a clear yes is refused here, and the filter
-- behind this one refuses every request that carries no client.

local band, bnot, bor, bxor = bit.band, bit.bnot, bit.bor, bit.bxor
local lshift, rshift, ror, tobit, tohex = bit.lshift, bit.rshift, bit.ror, bit.tobit, bit.tohex
local byte, char, rep = string.byte, string.char, string.rep

local MAX_KEY_BYTES = 512
local UNKNOWN, FORBIDDEN = "401", "403"

-- SHA-256, FIPS 180-4.
local ROUND = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
for i = 1, 64 do ROUND[i] = tobit(ROUND[i]) end

local W = {}

local function padded(text)
  local bits = #text * 8
  return text .. "\128" .. rep("\0", (55 - #text) % 64 + 4)
    .. char(rshift(bits, 24), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
end

local function expand(data, start)
  for i = 0, 15 do
    local b1, b2, b3, b4 = byte(data, start + 4 * i, start + 4 * i + 3)
    W[i + 1] = bor(lshift(b1, 24), lshift(b2, 16), lshift(b3, 8), b4)
  end
  for i = 17, 64 do
    local u, v = W[i - 15], W[i - 2]
    local s0 = bxor(ror(u, 7), ror(u, 18), rshift(u, 3))
    local s1 = bxor(ror(v, 17), ror(v, 19), rshift(v, 10))
    W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
  end
end

local function sha256(text)
  local data = padded(text)
  local h1, h2, h3, h4 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local h5, h6, h7, h8 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  for start = 1, #data, 64 do
    expand(data, start)
    local a, b, c, d, e, f, g, h = h1, h2, h3, h4, h5, h6, h7, h8
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local choice = bxor(band(e, f), band(bnot(e), g))
      local t1 = tobit(h + s1 + choice + ROUND[i] + W[i])
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local majority = bxor(band(a, b), band(a, c), band(b, c))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + s0 + majority)
    end
    h1, h2, h3, h4 = tobit(h1 + a), tobit(h2 + b), tobit(h3 + c), tobit(h4 + d)
    h5, h6, h7, h8 = tobit(h5 + e), tobit(h6 + f), tobit(h7 + g), tobit(h8 + h)
  end
  return tohex(h1) .. tohex(h2) .. tohex(h3) .. tohex(h4) .. tohex(h5) .. tohex(h6) .. tohex(h7) .. tohex(h8)
end

local function presented(headers)
  local authorization = headers:get("authorization")
  local key = authorization and authorization:match("^[Bb]earer +(%S+)$") or headers:get("x-api-key")
  if key and #key <= MAX_KEY_BYTES then return key end
end

-- The status of a refusal, or nil.
local function judge(handle)
  local headers, route = handle:headers(), handle:filterContext()
  local key = presented(headers)
  local entry = key and KEYS[sha256(key)]
  if not entry then return UNKNOWN end
  local org, identity, expiry = entry:match("^(%S+) (%S+) (%d+)$")
  expiry = tonumber(expiry)
  if expiry > 0 and expiry <= os.time() then return UNKNOWN end
  if identity ~= PROBE and (route:get("probe_only") or org ~= route:get("org")) then return FORBIDDEN end
  headers:remove("authorization")
  headers:remove("x-api-key")
  headers:replace("x-tidegate-client", identity)
end

function envoy_on_request(handle)
  local is_judged, refusal = pcall(judge, handle)
  if not is_judged then
    handle:logErr("the check of a key failed: " .. tostring(refusal))
    refusal = UNKNOWN
  end
  if refusal then handle:respond({[":status"] = refusal}, "") end
end
