package abuse

// reading is where a path leads somebody who may go there.
type reading int

const (
	nowhere reading = iota // two readers could differ: refused for every user
	alices                 // to alice's server, for alice
	own                    // to the attacker's own server, or to nothing
)

var paths = []struct {
	id, path string
	reading  reading
}{
	{"P1", "/user/bob/../alice/x", nowhere},
	{"P1", "/user/bob/%2e%2e/alice/x", nowhere},
	{"P1", "/user/bob/.%2e/alice/x", nowhere},
	{"P1", "//user//alice//x", nowhere},
	{"P1", "/user//alice/x", nowhere},
	{"P1", "/user/./alice/x", nowhere},
	{"P1", "/./user/alice/x", nowhere},
	{"P1", "/hub/../user/alice/x", nowhere},
	{"P1", `/user/bob/..\alice/x`, nowhere},
	{"P1", `/user\alice/x`, nowhere},
	{"P1", "/user/alice/../alice/x", nowhere},
	{"P1", "/user/bob/..", nowhere},
	{"P1", "/user/bob/.?x", nowhere},
	{"P1", "/hub//home", nowhere},
	{"P1", "//hub/home", nowhere},
	{"P1", "/hub/./home", nowhere},
	{"P1", "/hub/%2e%2e/user/alice/x", nowhere},
	{"P1", "/%75ser/alice/x", own},
	{"P1", "/user/%61lice/x", own},
	{"P2", "/user/bob/..%2falice/x", nowhere},
	{"P2", "/user/bob/..%2Falice/x", nowhere},
	{"P2", "/user/bob/%2e%2e%2falice", nowhere},
	{"P2", "/user/bob%2f..%2falice/x", nowhere},
	{"P2", "/user/bob%2falice/x", nowhere},
	{"P2", "/user%2falice/x", nowhere},
	{"P2", "/user/bob/a%2F..%2F..%2Falice", nowhere},
	{"P2", "/user/bob/a%2f%2e", nowhere},
	{"P2", "/hub/..%2fuser/alice/x", nowhere},
	{"P2", "/hub%2fhome", nowhere},
	{"P2", "/hub/api%2fuser", nowhere},
	{"P2", "/user/bob/alice%2Fx", own},
	{"P3", "/user/bob/..%5calice/x", nowhere},
	{"P3", "/user/bob/%5c..%5calice", nowhere},
	{"P3", "/user/bob/%252e%252e/alice/x", own},
	{"P3", "/user/bob/..%c0%afalice", own},
	{"P3", "/user/bob/.../alice", own},
	{"P4", "/user/bob/..;/alice/x", nowhere},
	{"P4", "/user/bob/..;x=y/alice/x", nowhere},
	{"P4", "/user/bob/.%2e%3bx/alice/x", nowhere},
	{"P4", "/user/bob;/../alice/x", nowhere},
	{"P5", "/user/bob/x#/../alice/x", nowhere},
	{"P5", "/user/bob%00/../alice/x", nowhere},
	{"P6", "/user/bob/x?/../../alice", own},
	{"P6", "/user/alice/x?next=/public", alices},
	{"P6", "/user/alice/x?/../../bob/x", alices},
	{"P7", "/user/alice/x?/hub/static/", alices},
	{"P7", "/user/alice/login", alices},
	{"P7", "/user/alice/hub/static/x.css", alices},
	{"P7", "/user/alice/api/health", alices},
	{"P8", "/user/alicex/", own},
	{"P8", "/user/ALICE/", own},
	{"P8", "/user/al%C4%B1ce/", own},
	{"P8", "/user/alice%20/", own},
	{"P8", "/user/alice;/x", own},
}

// PathsToAlice are group P: bob, whose server runs, asks for alice's by every path that
// some reader might take for another, as a page and as a websocket.
func PathsToAlice(bob, alice Sender) (all []Case) {
	for _, p := range paths {
		all = append(all, judged(p.id, p.path, p.reading, bob.Get(p.path), alice.Get(p.path), bob.Get("/user/bob/x")))
		all = append(all, judged(p.id, p.path+" (websocket)", p.reading, bob.websocket(p.path), alice.websocket(p.path), bob.websocket("/user/bob/x")))
	}
	return append(all, pathForms(bob, alice)...)
}

func judged(id, name string, to reading, attack, sameByOwner, plain Case) Case {
	switch to {
	case alices:
		return attack.named(id, name, Denied).against(sameByOwner)
	case own:
		return attack.named(id, name, Elsewhere).against(plain)
	default:
		return attack.named(id, name, Refused).against(plain)
	}
}

// pathForms are targets that are no plain path.
func pathForms(bob, alice Sender) []Case {
	absolute := "http://" + bob.Host + "/user/alice/x"
	plain := bob.Get("/user/bob/x")
	return []Case{
		bob.Get(absolute).onlyH1().named("P9", "absolute form to alice", Denied).against(alice.Get(absolute)),
		bob.Get("http://evil.test/user/bob/x").onlyH1().named("P9", "absolute form to another host", Denied).against(plain),
		bob.Get(absolute).onlyH2().named("P9", ":path in absolute form", Denied).against(plain),
		bob.Get("").onlyH2().named("P9", "empty :path", Refused).against(plain),
		bob.Get("user/alice/x").onlyH2().named("P9", ":path without its slash", Denied).against(plain),
		bob.Get("*").onlyH2().named("P9", ":path *", Denied).against(plain),
		bob.Get("/user/alice/x y").onlyH2().named("P9", "a space in :path", Denied).against(plain),
		bob.Get("/user/alice/x\r\nX-A: b").onlyH2().named("P9", "a line break in :path", Refused).against(plain),
		bob.Get("/user/alice/x\x00").onlyH2().named("P9", "NUL in :path", Refused).against(plain),
		bob.Get("/user/alice/x\xff").onlyH2().named("P9", "no UTF-8 in :path", Denied).against(plain),
	}
}

// Hosts are P9 and H9: only the platform's own names are answered. A page on another name
// that resolves to us (DNS rebinding) looks the same.
func Hosts(bob Sender) (all []Case) {
	for _, host := range []string{
		"evil.test", "hub.test.:8000", "hub.test.evil", "xhub.test:8000", "a,b", "hub.test", "hub.test:8001", "hub.test:8000:8000", "hub.test:8000@evil.test",
		"10.99.0.1:8888", "127.0.0.1:9901", "*", "",
	} {
		other := Sender{Host: host, Cookie: bob.Cookie}
		all = append(all, other.Get("/user/bob/x").named("P9", "Host "+host, Denied).against(bob.Get("/user/bob/x")))
	}
	capitals := Sender{Host: "HUB.TEST:8000", Cookie: bob.Cookie} // a name is a name however it is written
	return append(all, bob.Get("/user/alice/x").named("P9", "the honest name", Denied).against(capitals.Get("/user/bob/x")))
}
