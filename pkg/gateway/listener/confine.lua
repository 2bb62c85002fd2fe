-- Judges last who gets to a server, keeps our cookies from servers, and a server's answers from
-- acting on more than the server. It runs on every request to a server: no patterns where a
-- plain search will do.

local OURS = "perijove-"
local HOST = "__Host-"
local PRIVATE = "x-perijove-"

-- A route's name (contract.Route): where its cookies may go, whose it is, where the pod is.
local ROUTE = "^(/%S+/) (%S+) (%S+)"
-- Headers that only Envoy and authz write; the names are pkg/contract's.
local PASS_OWNER = "x-perijove-pass-owner"
local USER = "x-perijove-user"
local DESTINATION = "x-perijove-dst"

-- Response headers by which a server would act on the whole origin, and so on the hub and on
-- other users' servers. docs/threat-model.md names them with the reasons.
local BEYOND = {
  ["clear-site-data"] = true, -- ends the visitor's session and deletes what other servers stored
  ["strict-transport-security"] = true, -- makes a platform on plain http unreachable
  ["public-key-pins"] = true, -- the same with another certificate
  ["expect-ct"] = true,
  ["alt-svc"] = true, -- sends the browser's next requests to another host
  ["nel"] = true, -- has the browser report other servers' requests
  ["report-to"] = true, -- tells it where to
  ["reporting-endpoints"] = true,
  ["origin-agent-cluster"] = true, -- decides for all documents of the origin
  ["set-login"] = true, -- says whether the visitor is logged in to the origin
  ["secure-session-registration"] = true, -- binds the origin's session to a key of the server's
  ["sec-session-registration"] = true,
  ["use-as-dictionary"] = true, -- is used for other servers' answers
  -- These let a page of any other site read, with the visitor's cookies, what a visitor sees.
  ["access-control-allow-origin"] = true,
  ["access-control-allow-credentials"] = true,
  ["access-control-allow-private-network"] = true,
}

local byte, find, lower, match, sub = string.byte, string.find, string.lower, string.match, string.sub

-- cut returns the Cookie header without our cookies (S4): a server that kept its
-- visitor's pass could be used as that visitor from elsewhere. Header lines that a
-- client sent apart may be joined by commas.
local function cut(header)
  local at = 1
  while true do
    local name = find(header, OURS, at, true)
    if not name then return header end
    local before = name - 1
    if before >= #HOST and sub(header, before - #HOST + 1, before) == HOST then before = before - #HOST end
    while before > 0 and (byte(header, before) == 32 or byte(header, before) == 9) do before = before - 1 end
    local separator = before > 0 and byte(header, before) or nil
    if separator and separator ~= 59 and separator ~= 44 then -- neither ; nor , : inside another's name or value
      at = name + #OURS
    else
      local stop = find(header, ";", name, true)
      if separator then
        header = sub(header, 1, before - 1) .. (stop and sub(header, stop) or "")
        at = before
      else
        header = stop and match(sub(header, stop + 1), "^[ \t]*(.*)$") or ""
        at = 1
      end
    end
  end
end

-- tame returns one Set-Cookie value as a server below prefix may send it, or nil (S5):
-- none of our names, no Domain, and no Path outside its own. An application that knows no
-- base URL says Path=/ and means itself, so its path is corrected.
local function tame(value, prefix)
  local parts, named, inside = {}, false, false
  for part in string.gmatch(value, "[^;]+") do
    if not named then
      named = true
      -- A browser sends back a cookie without a name as its bare value: "=a=b" is "a=b".
      local name = lower(match(part, "^[%s=]*([^=]*)"))
      if sub(name, 1, #OURS) == OURS or sub(name, 1, #HOST + #OURS) == lower(HOST .. OURS) then return nil end
      parts[1] = part
    else
      local key, path = match(part, "^%s*([^=]-)%s*=%s*(.-)%s*$")
      key = lower(key or part)
      if key == "path" then
        -- Of several paths browsers take the last: each must be inside.
        if path .. "/" == prefix or sub(path, 1, #prefix) == prefix then
          inside = true
          parts[#parts + 1] = part
        end
      elseif key ~= "domain" then
        parts[#parts + 1] = part
      end
    end
  end
  if not named then return nil end
  if not inside then parts[#parts + 1] = " Path=" .. prefix end
  return table.concat(parts, ";")
end

-- Lets in a pass for the route's owner, and requests in which authz has named the user. Refuses
-- a pass for another person's servers and a request that nobody has judged. Only here a request
-- learns where to go: if this function fails half-way, Envoy finds no pod and answers 503.
function envoy_on_request(handle)
  local name = handle:streamInfo():routeName()
  if name == "" then return end -- no route, and Envoy will say so
  local headers = handle:headers()
  local _, owner, address = match(name, ROUTE)
  local pass = headers:get(PASS_OWNER)
  if not address or pass ~= owner and (pass or not headers:get(USER)) then
    handle:respond({[":status"] = "403"})
    return
  end
  local cookie = headers:get("cookie")
  if cookie then
    local rest = cut(cookie)
    if rest == "" then
      headers:remove("cookie")
    elseif rest ~= cookie then
      headers:replace("cookie", rest)
    end
  end
  headers:replace(DESTINATION, address)
end

-- inside reports whether a folder that a service worker may control is below prefix (S6).
local function inside(folder, prefix)
  local rest = sub(folder, #prefix) -- from the slash on
  return sub(folder, 1, #prefix) == prefix
    and not find(rest, "[%%\\?#]") and not find(rest, "/%.?%.?/") and not find(rest, "/%.%.?$")
end

-- tame_all rewrites the Set-Cookie lines of a server below prefix.
local function tame_all(headers, prefix)
  local kept = {}
  if prefix ~= "" then
    for i = 0, headers:getNumValues("set-cookie") - 1 do
      kept[#kept + 1] = tame(headers:getAtIndex("set-cookie", i), prefix)
    end
  end
  headers:remove("set-cookie")
  for _, value in ipairs(kept) do headers:add("set-cookie", value) end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local found
  for name in pairs(headers) do
    if BEYOND[name] or name == "set-cookie" or name == "service-worker-allowed" or sub(name, 1, #PRIVATE) == PRIVATE then
      found = found or {}
      found[name] = true
    end
  end
  if not found then return end
  local info = handle:streamInfo()
  local authz = info:dynamicMetadata():get("envoy.filters.http.ext_authz")
  if authz and authz["perijove"] then return end -- authz answered, not the server
  local prefix = match(info:routeName(), ROUTE) or ""
  for name in pairs(found) do
    if name == "set-cookie" then
      tame_all(headers, prefix)
    elseif name ~= "service-worker-allowed" or prefix == "" or not inside(headers:get(name), prefix) then
      headers:remove(name)
    end
  end
end
