package abuse

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// Flood is D1 and D8: frames that cost the sender nothing and the receiver something,
// without end, on one connection. The edge must close it.
type Flood struct {
	ID, Name string
	// Most is how many writes the edge may take before it closes the connection.
	Most int
	// Deaf: nobody reads the answers, so that the edge would have to keep them.
	Deaf bool
	// Fine: a few such frames are nothing bad.
	Fine  bool
	write func(c *H2, i int) error
}

// Run writes until the edge ends the connection, and returns after how many writes. An
// error says that it did not, after Most writes, or that the network failed.
func (f Flood) Run(addr string) (int, error) {
	c, err := DialH2(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ended := make(chan struct{})
	if !f.Deaf {
		go func() { _, _ = io.Copy(io.Discard, c.conn); close(ended) }()
	}
	for i := range f.Most {
		_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
		if err := f.write(c, i); timedOut(err) {
			return i, fmt.Errorf("%s %s: the edge neither reads nor closes after %d writes", f.ID, f.Name, i)
		} else if err != nil {
			return i, nil
		}
	}
	select {
	case <-ended: // the last writes were on their way
		return f.Most, nil
	case <-time.After(patience):
		return f.Most, fmt.Errorf("%s %s: %d writes and the connection is open", f.ID, f.Name, f.Most)
	}
}

// Few writes n frames of the flood and returns the answer to an honest request after
// them, on the same connection.
func (f Flood) Few(addr string, n int, honest Case) (Answer, error) {
	c, err := DialH2(addr)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	for i := range n {
		if err := f.write(c, i); err != nil {
			return Answer{}, err
		}
	}
	return c.Send(honest.H2, "")
}

// Floods are the ways known to us. s may use the platform; its requests go to path.
func Floods(s Sender, path string) []Flood {
	get, ws := s.Get(path).H2, s.websocket(path).H2
	return []Flood{
		{"D1", "rapid reset (CVE-2023-44487)", 50_000, false, true, func(c *H2, _ int) error { return c.openAndReset(get) }},
		{"D8", "websocket and reset", 50_000, false, true, func(c *H2, _ int) error { return c.openAndReset(ws) }},
		{"D1", "PRIORITY", 50_000, false, true, func(c *H2, i int) error {
			return c.Framer.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: 1})
		}},
		{"D1", "empty DATA", 50_000, false, false, func(c *H2, i int) error {
			if i == 0 {
				id := c.Stream()
				post := append([]Field{{":method", "POST"}}, get[1:]...)
				if err := c.writeHeaders(id, c.Encode(post), false); err != nil {
					return err
				}
			}
			return c.Framer.WriteData(1, false, nil)
		}},
		{"D1", "CONTINUATION without end (CVE-2024-30255)", 50_000, false, false, func(c *H2, i int) error {
			if i == 0 {
				return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.Stream(), BlockFragment: c.Encode(get)})
			}
			return c.Framer.WriteContinuation(1, false, c.Encode([]Field{{fmt.Sprintf("x-%d", i), strings.Repeat("a", 100)}}))
		}},
		{"D1", "empty CONTINUATION", 50_000, false, false, func(c *H2, i int) error {
			if i == 0 {
				return c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.Stream(), BlockFragment: c.Encode(get)})
			}
			return c.Framer.WriteContinuation(1, false, nil)
		}},
		{"D1", "WINDOW_UPDATE", 50_000, false, true, func(c *H2, i int) error { return c.Framer.WriteWindowUpdate(0, 1) }},
		{"D1", "RST_STREAM of no stream", 50_000, false, false, func(c *H2, i int) error {
			return c.Framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}},
		{"D1", "PING", 1_000_000, true, true, func(c *H2, _ int) error { return c.Framer.WritePing(false, [8]byte{}) }},
		{"D1", "SETTINGS", 1_000_000, true, true, func(c *H2, _ int) error { return c.Framer.WriteSettings() }},
	}
}

func (c *H2) openAndReset(fields []Field) error {
	id := c.Stream()
	if err := c.writeHeaders(id, c.Encode(fields), false); err != nil {
		return err
	}
	return c.Framer.WriteRSTStream(id, http2.ErrCodeCancel)
}

// Large are D2 and D4: headers that are too many or too large, within one request.
func Large(s Sender, path string) (all []Case) {
	plain := s.Get(path)
	with := func(name string, headers ...string) {
		all = append(all, s.Get(path, headers...).named("D2", name, Refused).against(plain))
	}
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("X-%d: a", i))
	}
	with("2000 headers", many...)
	with("a header of 1 MB", "X-A: "+strings.Repeat("a", 1<<20))
	with("a name of 1 MB", "X-"+strings.Repeat("a", 1<<20)+": a")
	with("10 000 cookies in one line", "Cookie: "+strings.Repeat("cookie=b; ", 10_000)+"a=b")
	var lines []string
	for i := range 10_000 {
		lines = append(lines, fmt.Sprintf("Cookie: a%d=b", i))
	}
	with("10 000 cookies in a line each", lines...) // CVE-2026-47774: over HTTP/2 each was a field that nobody counted
	var bomb []string
	for i := range 20 {
		bomb = append(bomb, fmt.Sprintf("c%d=%s", i, strings.Repeat("x", 4000)))
	}
	all = append(all, s.Get(path, "Cookie: "+strings.Join(bomb, "; ")).named("D4", "20 cookies of 4 kB", Refused).against(s.Get(path, "Cookie: "+bomb[0])))
	return append(all, s.Get(path+"?"+strings.Repeat("a", 1<<20)).named("D2", "a path of 1 MB", Refused).against(plain))
}

// Amplify sends one header block in which one cookie of 4 kB is named n times, by one byte
// each (CVE-2026-47774), and returns the answer.
func Amplify(addr string, s Sender, path string, n int) (Answer, error) {
	c, err := DialH2(addr)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	block := c.Encode(s.Get(path).H2)
	block = append(block, c.Encode([]Field{{"cookie", "a=" + strings.Repeat("b", 3900)}})...)
	const newest = 0x80 | 62 // RFC 7541 §2.3.3: the dynamic table begins at 62
	for range n {
		block = append(block, newest)
	}
	id := c.Stream()
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if err := c.writeHeaders(id, block, true); err != nil {
		return Answer{}, nil
	}
	return c.read(id, false)
}

// Slow are D3: what never comes to the end that it begins. Each function writes the
// beginning and tells whether the edge ends it within a time.
func Slow(s Sender, path string) map[string]func(addr string, within time.Duration) (bool, error) {
	request := s.Get(path)
	return map[string]func(addr string, within time.Duration) (bool, error){
		"half a request line": func(addr string, within time.Duration) (bool, error) { return halfOf(addr, "GET /us", within) },
		"half the headers": func(addr string, within time.Duration) (bool, error) {
			return halfOf(addr, strings.TrimSuffix(request.H1, "\r\n"), within)
		},
		"half the headers (HTTP/2)": func(addr string, within time.Duration) (bool, error) {
			c, err := DialH2(addr)
			if err != nil {
				return false, err
			}
			defer c.Close()
			id := c.Stream()
			if err := c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.Encode(request.H2)}); err != nil {
				return false, err
			}
			_ = c.conn.SetDeadline(time.Now().Add(within))
			_, err = c.read(id, false)
			return !timedOut(err), nil
		},
	}
}

func halfOf(addr, text string, within time.Duration) (ended bool, err error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(conn, text); err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, conn)
	return !timedOut(err), nil
}
