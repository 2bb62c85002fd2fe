package rig

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// UpstreamPort is where every pod answers.
const UpstreamPort = 8888

// Upstream plays all pods: one process on every address of the pod network. A path that
// ends in /big answers 1 MB, an upgrade echoes, everything else answers a few bytes. It
// does as little as HTTP/1.1 allows, so that what is measured is the proxy. To a client that
// begins with TLS it shows the certificate that the client asks for.
type Upstream struct{ *Proc }

const countPath = "/upstream-count"

// StartUpstream runs it.
func (r *Rig) StartUpstream() (*Upstream, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p, err := r.start("upstream", []string{envRole + "=upstream", envServers + "=" + r.Path(dirServers)}, self)
	if err != nil {
		return nil, err
	}
	u := &Upstream{p}
	return u, p.wait("it answers", 10*time.Second, func() bool { _, err := u.Count(); return err == nil })
}

// Count returns how many requests it has answered: replies that a proxy makes by itself
// (a refusal, a redirect) are not among them.
func (u *Upstream) Count() (int64, error) {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", UpstreamPort, countPath))
	if err != nil {
		return 0, fmt.Errorf("ask the upstream: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read the upstream's count: %w", err)
	}
	return strconv.ParseInt(string(body), 10, 64)
}

func serveUpstream() int {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", UpstreamPort))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	certificates, err := newCertificates(os.Getenv(envServers))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	u := &upstream{
		tls:      &tls.Config{GetCertificate: certificates.get, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true},
		small:    reply([]byte(`{"version": "2.21.0"}`)),
		big:      reply(bytes.Repeat([]byte("0123456789abcdef"), 1<<16)),
		upgrades: make(chan net.Conn),
	}
	go func() { _ = http.Serve(&upgradeListener{u.upgrades, l.Addr()}, http.HandlerFunc(echo)) }()
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go u.serve(conn)
	}
}

func reply(body []byte) []byte {
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
}

type upstream struct {
	tls        *tls.Config
	small, big []byte
	count      atomic.Int64
	upgrades   chan net.Conn
}

// serve answers requests without a body until the connection ends.
func (u *upstream) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReaderSize(conn, 8<<10)
	const handshake = 0x16 // the first byte of TLS (RFC 8446 §5.1)
	if first, err := in.Peek(1); err == nil && first[0] == handshake {
		conn = tls.Server(&bufferedConn{conn, in, make(chan struct{})}, u.tls)
		in = bufio.NewReaderSize(conn, 8<<10)
	}
	for {
		head, err := peekHead(in)
		if err != nil {
			return
		}
		target, _, _ := strings.Cut(string(head[bytes.IndexByte(head, ' ')+1:]), " ")
		switch {
		case bytes.Contains(bytes.ToLower(head), []byte("\r\nupgrade: websocket")):
			done := make(chan struct{})
			u.upgrades <- &bufferedConn{conn, in, done}
			<-done
			return
		case target == countPath:
			_, err = conn.Write(reply(strconv.AppendInt(nil, u.count.Load(), 10)))
		case strings.HasSuffix(target, "/big"):
			u.count.Add(1)
			_, err = conn.Write(u.big)
		default:
			u.count.Add(1)
			_, err = conn.Write(u.small)
		}
		if err != nil {
			return
		}
		_, _ = in.Discard(len(head))
	}
}

// peekHead waits for a whole request head and leaves it in the buffer.
func peekHead(in *bufio.Reader) ([]byte, error) {
	for n := 1; ; n = in.Buffered() + 1 {
		if _, err := in.Peek(n); err != nil {
			return nil, err
		}
		have, _ := in.Peek(in.Buffered())
		if end := bytes.Index(have, []byte("\r\n\r\n")); end >= 0 {
			return have[:end+4], nil
		}
	}
}

// echo sends every websocket message back.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // whoever asks: this is no real server
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// bufferedConn is a connection whose first bytes were read already.
type bufferedConn struct {
	net.Conn
	in   *bufio.Reader
	done chan struct{}
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }
func (c *bufferedConn) Close() error {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	return c.Conn.Close()
}

// upgradeListener hands connections to net/http.
type upgradeListener struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l *upgradeListener) Accept() (net.Conn, error) { return <-l.conns, nil }
func (l *upgradeListener) Addr() net.Addr            { return l.addr }
func (l *upgradeListener) Close() error              { return nil }
