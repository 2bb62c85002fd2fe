-- Sends a browser whose file the assets service does not have, or does not send, to the server that
-- its page is of: every server has the same files itself. The page is the Referer.

local function page_of(from, host)
  local _, scheme = string.find(from, "://", 1, true)
  if not scheme or string.sub(from, scheme + 1, scheme + #host) ~= host then
    return nil
  end
  return string.sub(from, scheme + #host + 1)
end

-- JupyterLab's pages are lab and doc below a server's prefix. A named server may be called so too.
local function prefix_of(page)
  local owner, rest = string.match(page, "^(/user/[^/?#]+/)([^?#]*)")
  if not owner then
    return nil
  end
  local one, two = string.match(rest, "^([^/]*)/?([^/]*)")
  local app = { lab = true, doc = true }
  if app[one] and not app[two] then
    return owner
  end
  if app[two] then
    return owner .. one .. "/"
  end
  return nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local asked = handle:streamInfo():dynamicMetadata()
  asked:set("perijove.assets", "from", headers:get("referer") or "")
  asked:set("perijove.assets", "host", headers:get(":authority") or "")
  asked:set("perijove.assets", "path", headers:get(":path") or "")
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status ~= "404" and string.sub(status, 1, 1) ~= "5" then
    return
  end
  headers:replace("cache-control", "no-store")
  local asked = handle:streamInfo():dynamicMetadata():get("perijove.assets")
  if not asked then
    return
  end
  local file = string.match(asked.path, "^/assets/lab/%x+/(.+)$")
  local page = page_of(asked.from, asked.host)
  local prefix = page and prefix_of(page)
  if file and prefix then
    headers:replace(":status", "307")
    headers:replace("location", prefix .. "perijove/lab/" .. file)
  end
end
