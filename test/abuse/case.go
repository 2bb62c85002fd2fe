package abuse

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what an attack may come to. Nothing of it reaches the victim's server, unless
// it is Mended.
type Verdict int

const (
	// Refused: the edge ends it by itself (400, 426, 431, 501, or a closed stream).
	Refused Verdict = iota
	// Denied: whoever judges it says no: any answer but success, a promise to go on, or an outage.
	Denied
	// Mended: the edge has made one reading of it and passes that on, as the RFC allows;
	// the header X-Smuggled is not part of it.
	Mended
	// Elsewhere: it may succeed, at a server of the attacker's own.
	Elsewhere
)

// Sender is who sends an attack: the platform's Host and the cookies that the sender has
// for the path.
type Sender struct{ Host, Cookie string }

// Case is one attack in both spellings.
type Case struct {
	ID, Name string
	// H1 is the whole request; "" if HTTP/1.1 cannot say it.
	H1 string
	// H2 are the fields and Body the content; nil if HTTP/2 cannot say it.
	H2   []Field
	Body string
	Want Verdict
	// Twin is the honest request that must get through. Nil: the same request is honest
	// when its owner sends it.
	Twin *Case
}

// Judge tells how an answer differs from what must come back.
func (c Case) Judge(a Answer) error {
	ok := false
	switch c.Want {
	case Refused:
		ok = a.Refused()
	case Denied:
		ok = a.Code == 0 || a.Code >= 300 && a.Code < 500
	case Mended, Elsewhere:
		ok = a.Code == 0 || a.Code == 101 || a.Code >= 200 && a.Code < 500
	}
	if !ok {
		return fmt.Errorf("%s %s: answered %d", c.ID, c.Name, a.Code)
	}
	return nil
}

// Get is a plain request for a path by h1 and h2 with more headers, "Name: value" each.
func (s Sender) Get(path string, headers ...string) Case {
	return s.request("GET", path, headers...)
}

func (s Sender) request(method, path string, headers ...string) Case {
	if s.Cookie != "" {
		headers = append([]string{"Cookie: " + s.Cookie}, headers...)
	}
	c := Case{
		H1: method + " " + path + " HTTP/1.1\r\nHost: " + s.Host + "\r\n",
		H2: []Field{{":method", method}, {":scheme", "http"}, {":authority", s.Host}, {":path", path}},
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		c.H1 += h + "\r\n"
		c.H2 = append(c.H2, Field{strings.ToLower(name), strings.TrimPrefix(value, " ")})
	}
	c.H1 += "\r\n"
	return c
}

// websocket is an upgrade over h1 and an extended CONNECT over h2.
func (s Sender) websocket(path string) Case {
	origin := "http://" + s.Host
	c := s.Get(path, "Origin: "+origin, "Sec-WebSocket-Version: 13")
	c.H1 = strings.TrimSuffix(c.H1, "\r\n") + upgradeH1 + "\r\n"
	c.H2[0].Value = "CONNECT"
	c.H2 = append([]Field{c.H2[0], {":protocol", "websocket"}}, c.H2[1:]...)
	return c
}

// named gives a request its place in the catalogue.
func (c Case) named(id, name string, want Verdict) Case {
	c.ID, c.Name, c.Want = id, name, want
	return c
}

// against gives an attack its honest twin.
func (c Case) against(twin Case) Case {
	c.Twin = &twin
	return c
}

func (c Case) onlyH1() Case { c.H2 = nil; return c }

// Protocols are the protocols that an attack is sent by.
func Protocols() []string { return []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2"} }

// Over returns the case as the protocol says it; ok is false if it cannot. HTTP/1.0 has the
// same words in its request line but the version.
func (c Case) Over(protocol string) (_ Case, ok bool) {
	switch protocol {
	case "HTTP/2":
		return c, c.H2 != nil
	case "HTTP/1.0":
		line, rest, _ := strings.Cut(c.H1, "\r\n")
		target, whole := strings.CutSuffix(line, " HTTP/1.1")
		c.H1 = target + " HTTP/1.0\r\n" + rest
		return c, whole
	default:
		return c, c.H1 != ""
	}
}

// WithoutUpgrade is the same request for a page: what HTTP/1.0, which knows no upgrade, can
// say of it.
func (c Case) WithoutUpgrade() Case {
	c.H1 = strings.ReplaceAll(c.H1, upgradeH1, "")
	return c
}

const upgradeH1 = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func (c Case) onlyH2() Case { c.H1 = ""; return c }

// Marked adds a header to the request, by which the victim's log tells whose it is.
func (c Case) Marked(name, value string) Case {
	if c.H1 != "" {
		c.H1 = strings.Replace(c.H1, "\r\n\r\n", "\r\n"+name+": "+value+"\r\n\r\n", 1)
	}
	if c.H2 != nil {
		c.H2 = append(slices.Clip(c.H2), Field{strings.ToLower(name), value})
	}
	return c
}
