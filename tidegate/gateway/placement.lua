-- Runs in front of one set, at each attempt. PREFIX stands before this text.
--
-- Attempts share one set of headers: what was added for a former set (its credential, its path) must go first, or a
-- retry would carry one set's bearer to another.

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("authorization")
  local kept = handle:streamInfo():dynamicMetadata():get("tidegate")
  -- Nothing is kept for a request that began before its service had a set elsewhere: its path is right already.
  if kept and kept["path"] then headers:replace(":path", PREFIX .. kept["path"]) end
end
