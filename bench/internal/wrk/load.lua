-- Cycles through the requests of a file: one line each, path and Cookie header with a
-- tab between. Everything is formatted before the first request.
local requests, n, i = {}, 0, 0

function init(args)
  for line in io.lines(args[1]) do
    local path, cookie = line:match("^([^\t]*)\t(.*)$")
    n = n + 1
    requests[n] = wrk.format("GET", path, {
      ["Host"] = args[2],
      ["Cookie"] = cookie,
      -- What JupyterLab's page sends with each call.
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36",
      ["Accept"] = "*/*",
      ["Accept-Language"] = "en-US,en;q=0.9",
      ["Accept-Encoding"] = "gzip, deflate, br",
      ["Referer"] = "http://" .. args[2] .. "/user/lab",
      ["Sec-Fetch-Site"] = "same-origin",
      ["Sec-Fetch-Mode"] = "cors",
      ["Sec-Fetch-Dest"] = "empty",
    })
  end
end

function request()
  i = i % n + 1
  return requests[i]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"bytes":%d,"micros":%d,"errors":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
