package abuse

import "strings"

// Tunnels are H8, S10, S11 and D8: upgrades to anything but a websocket, to a websocket by
// somebody who may not, and CONNECT to anywhere.
func Tunnels(nobody, bob, alice Sender) (all []Case) {
	good := alice.websocket("/user/alice/ws")
	foreign := func(s Sender, path string) {
		all = append(all, s.websocket(path).named("S11", "websocket of "+who(s, bob)+" to "+path, Denied).against(alice.websocket(path)))
	}
	for _, path := range []string{"/user/alice/ws", "/user/alice/proxy/8080/ws", "/user/alice/api/kernels/1/channels"} {
		foreign(nobody, path)
		foreign(bob, path)
		foreign(Sender{Host: alice.Host, Cookie: alice.Cookie + "x"}, path)
		foreign(Sender{Host: alice.Host, Cookie: "perijove-pass=x; perijove-session=y"}, path)
	}
	for _, origin := range []string{"http://evil.test", "null", "http://" + alice.Host + ".evil", "https://" + alice.Host, "http://hub.test"} {
		all = append(all, good.replace("http://"+alice.Host, origin).named("S10", "websocket from "+origin, Denied).against(good))
	}
	for _, protocol := range []string{"foo", "TLS/1.0", "websocket, foo", "connect-udp", "connect-ip"} {
		all = append(all, good.replace("websocket", protocol).named("H8", "upgrade to "+protocol, Denied).against(good))
	}
	all = append(all, good.replace("/user/alice/ws", "/hub/home").named("H8", "websocket to a page", Denied).against(good))
	for _, to := range []string{"10.99.0.1:8888", "127.0.0.1:9901", alice.Host, "hub.test:443"} {
		connect := Case{
			H1: "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\nCookie: " + alice.Cookie + "\r\n\r\n",
			H2: []Field{{":method", "CONNECT"}, {":authority", to}, {"cookie", alice.Cookie}},
		}
		all = append(all, connect.named("D8", "CONNECT to "+to, Denied).against(good))
	}
	return all
}

func who(s, bob Sender) string {
	switch s.Cookie {
	case "":
		return "nobody"
	case bob.Cookie:
		return "bob"
	}
	return "a spoilt cookie"
}

// replace writes another value wherever the request has old, except in names.
func (c Case) replace(old, value string) Case {
	c.H1 = strings.ReplaceAll(c.H1, ": "+old+"\r\n", ": "+value+"\r\n")
	c.H1 = strings.Replace(c.H1, " "+old+" HTTP/1.1", " "+value+" HTTP/1.1", 1)
	fields := make([]Field, len(c.H2))
	for i, f := range c.H2 {
		if f.Value == old {
			f.Value = value
		}
		fields[i] = f
	}
	c.H2 = fields
	return c
}
