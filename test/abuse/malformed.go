package abuse

import "strings"

// Malformed are H2, H5 and H7: requests that two servers could read differently, and
// tricks with the fields that only HTTP/2 has (RFC 9113 §8.2, §8.3). alice sends them
// herself: what stops them is their form alone.
func Malformed(alice Sender) []Case {
	return append(malformedH1(alice), malformedH2(alice)...)
}

const malformedPath = "/user/alice/x"

func malformedH1(alice Sender) (all []Case) {
	for _, m := range []struct{ id, name, bad, good string }{
		{"H2", "underscore in our header", "X_Perijove_User: bob", "X-Perijove-User: bob"},
		{"H2", "underscore", "x-Perijove_user: bob", "X-A: b"},
		{"H7", "space before the colon", "X-A : b", "X-A: b"},
		{"H7", "NUL", "X-A: b\x00c", "X-A: bc"},
		{"H7", "a line without a colon", "X-A", "X-A:"},
		{"H7", "length and chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked", "Content-Length: 0"},
		{"H7", "chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 0"},
		{"H7", "two lengths", "Content-Length: 3\r\nContent-Length: 4", "Content-Length: 0"},
		{"H7", "a signed length", "Content-Length: +0", "Content-Length: 0"},
		{"H7", "a list of lengths", "Content-Length: 3, 4", "Content-Length: 0"},
		{"H7", "unknown coding", "Transfer-Encoding: xchunked", "Content-Length: 0"},
		{"H7", "chunked twice", "Transfer-Encoding: chunked, chunked", "Content-Length: 0"},
	} {
		c := alice.Get(malformedPath, m.bad).onlyH1().named(m.id, m.name, Refused)
		all = append(all, c.against(alice.Get(malformedPath, m.good).onlyH1()))
	}
	plain := alice.Get(malformedPath).onlyH1()
	for name, line := range map[string]string{
		"HTTP/0.9":  "GET /user/alice/x",
		"no method": "/user/alice/x HTTP/1.1", "lower case": "get /user/alice/x HTTP/1.1",
	} {
		c := plain
		c.H1 = strings.Replace(plain.H1, "GET /user/alice/x HTTP/1.1", line, 1)
		all = append(all, c.named("H7", "request line: "+name, Refused).against(plain))
	}
	for name, header := range map[string]string{
		"bare CR": "X-A: b\rX-Smuggled: c", "folded line": "X-A: b\r\n X-Smuggled: c", "bare LF": "X-A: b\n X-Smuggled: c", // RFC 9112 §2.2, §5.2: a space, or refused
	} {
		all = append(all, alice.Get(malformedPath, header).onlyH1().named("H7", name, Mended).against(alice.Get(malformedPath, "X-A: b").onlyH1()))
	}
	for name, line := range map[string]string{"HTTP/1.2": "GET /user/alice/x HTTP/1.2" /* is 1.1 to a server of 1.1: RFC 9110 §2.5 */, "two spaces": "GET  /user/alice/x HTTP/1.1", "tabs": "GET\t/user/alice/x\tHTTP/1.1"} { // RFC 9112 §3
		c := plain
		c.H1 = strings.Replace(plain.H1, "GET /user/alice/x HTTP/1.1", line, 1)
		all = append(all, c.named("H7", "request line: "+name, Mended).against(plain))
	}
	all = append(all, alice.Get(malformedPath, "Host: evil.test").onlyH1().named("H7", "two hosts", Denied).against(plain))
	noHost := plain
	noHost.H1 = strings.Replace(plain.H1, "Host: "+alice.Host+"\r\n", "", 1)
	return append(all, noHost.named("H7", "no host", Refused).against(plain))
}

func malformedH2(alice Sender) (all []Case) {
	plain := alice.Get(malformedPath).onlyH2()
	add := func(id, name string, bad, good []Field) {
		attack, twin := plain, plain
		attack.H2, twin.H2 = bad, good
		all = append(all, attack.named(id, name+" (HTTP/2)", Refused).against(twin))
	}
	with := func(more ...Field) []Field { return append(append([]Field{}, plain.H2...), more...) }
	without := func(name string) (out []Field) {
		for _, f := range plain.H2 {
			if f.Name != name {
				out = append(out, f)
			}
		}
		return out
	}
	for _, m := range []struct {
		id, name  string
		bad, good Field
	}{
		{"H2", "underscore in our header", Field{"x_perijove_user", "bob"}, Field{"x-perijove-user", "bob"}},
		{"H7", "capitals in a name", Field{"X-A", "b"}, Field{"x-a", "b"}},
		{"H7", "space in a name", Field{"x-a ", "b"}, Field{"x-a", "b"}},
		{"H7", "colon in a name", Field{"x:a", "b"}, Field{"x-a", "b"}},
		{"H7", "no name", Field{"", "b"}, Field{"x-a", ""}},
		{"H7", "line break in a name", Field{"x-a: b\r\nx-b", "c"}, Field{"x-b", "c"}},
		{"H7", "NUL in a value", Field{"x-a", "b\x00c"}, Field{"x-a", "bc"}},
		{"H7", "line break in a value", Field{"x-a", "b\r\nX-Perijove-User: bob"}, Field{"x-a", "b"}},
		{"H7", "LF in a value", Field{"x-a", "b\nc"}, Field{"x-a", "b c"}},
		{"H7", "CR in a value", Field{"x-a", "b\rc"}, Field{"x-a", "b c"}},
		{"H5", "connection", Field{"connection", "x-perijove-user"}, Field{"x-connection", "x-perijove-user"}},
		{"H5", "proxy-connection", Field{"proxy-connection", "keep-alive"}, Field{"x-a", "b"}},
		{"H5", "keep-alive", Field{"keep-alive", "1"}, Field{"x-a", "b"}},
		{"H5", "upgrade", Field{"upgrade", "websocket"}, Field{"x-a", "b"}},
		{"H5", "transfer-encoding", Field{"transfer-encoding", "chunked"}, Field{"x-a", "b"}},
		{"H5", "te that is not trailers", Field{"te", "gzip"}, Field{"te", "trailers"}},
		{"H7", "length without content", Field{"content-length", "3"}, Field{"content-length", "0"}},
		{"H7", "a signed length", Field{"content-length", "+0"}, Field{"content-length", "0"}},
		{"H7", "pseudo header of an answer", Field{":status", "200"}, Field{"x-status", "200"}},
		{"H7", "unknown pseudo header", Field{":x", "y"}, Field{"x", "y"}},
		{"H7", "pseudo header after the others, twice", Field{":path", "/user/bob/x"}, Field{"path", "/user/bob/x"}},
		{"H8", ":protocol without CONNECT", Field{":protocol", "websocket"}, Field{"protocol", "websocket"}},
	} {
		add(m.id, m.name, with(m.bad), with(m.good))
	}
	for _, name := range []string{":method", ":scheme", ":path", ":authority"} {
		add("H7", name+" twice", append([]Field{{name, valueOf(plain.H2, name)}}, plain.H2...), plain.H2)
	}
	for _, name := range []string{":method", ":path"} {
		add("H7", "no "+name, without(name), plain.H2)
	}
	for _, value := range []string{"", "GE T", "GET /user/bob/x HTTP/1.1\r\n"} {
		add("H7", "method "+value, append([]Field{{":method", value}}, without(":method")...), plain.H2)
	}
	for _, value := range []string{"", "a b", "user@" + alice.Host, alice.Host + "/user/bob", alice.Host + "\r\nX-A: b"} {
		add("P9", ":authority "+value, append([]Field{{":authority", value}}, without(":authority")...), plain.H2)
	}
	return all
}

// Methods are requests to alice's server by methods that nothing here needs, TRACE first, which
// shows a page what the browser hides from it.
func Methods(alice Sender) (all []Case) {
	for _, method := range []string{"TRACE", "TRACK", "DEBUG", "FOO", "get", "Post", "PROPFINDX", "PRI"} {
		c := alice.request(method, malformedPath)
		all = append(all, c.named("H10", "method "+method, Denied).against(alice.Get(malformedPath)))
	}
	return all
}

func valueOf(fields []Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Headers are H1, H3, H4: what a client may write to be somebody else, to be sent
// elsewhere or to steer the edge. They come along and change nothing; the names of the
// header lines are returned, for the victim's log to be searched for them.
func Headers(private []string) (lines, names []string) {
	for _, name := range private {
		lines = append(lines, name+": bob", name+": 10.99.0.2:8888", strings.ToUpper(name)+":", name+": "+strings.Repeat("b", 2000))
	}
	for _, line := range []string{
		"X-Forwarded-Host: evil.test", "Forwarded: host=evil.test", "X-Forwarded-Prefix: /evil", "X-Forwarded-Uri: /user/bob/", "X-Forwarded-Method: DELETE",
		"X-Forwarded-Port: 1", "X-Original-URL: /user/bob/", "X-Rewrite-URL: /user/bob/", "X-Original-Uri: /user/bob/", "X-HTTP-Method-Override: DELETE",
		"X-Envoy-Original-Path: /public", "X-Envoy-Internal: true", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Retry-On: 5xx", "X-Envoy-Max-Retries: 9",
		"X-Envoy-Force-Trace: 1", "X-Envoy-Hedge-On-Per-Try-Timeout: true", "X-Envoy-Decorator-Operation: x", "X-Envoy-Ip-Tags: x", "X-Envoy-Original-Host: evil.test",
		"X-Forwarded-Server: evil.test", "X-Forwarded-Scheme: https", "X-Forwarded-Ssl: on", "X-Scheme: https", "X-Real-Ip: 192.0.2.1", "X-Client-Ip: 192.0.2.1",
		"True-Client-Ip: 192.0.2.1", "X-Forwarded-User: root", "X-Forwarded-Email: root@evil.test", "X-Forwarded-Groups: admins",
		"X-Forwarded-Preferred-Username: root", "X-Forwarded-Access-Token: x", "Remote-User: root", "X-Remote-User: root", "X-Webauth-User: root",
		"X-Auth-Request-User: root", "X-Auth-Request-Email: root@evil.test",
	} {
		name, _, _ := strings.Cut(line, ":")
		lines, names = append(lines, line), append(names, name)
	}
	return lines, names
}
