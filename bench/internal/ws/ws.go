// Package ws echoes small messages over many websockets at once (RFC 6455), over HTTP/1.1
// or over HTTP/2 (RFC 8441). It speaks just enough of the protocol for messages of one
// fixed size, so that it costs little beside the proxy that is measured.
package ws

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sync/errgroup"
)

// Load is one websocket.
type Load struct{ Path, Cookie string }

// Result is what all of them saw together.
type Result struct {
	PerSecond float64 // messages that came back
	P50, P99  time.Duration
}

const (
	size   = 64 // bytes of one message, about an execution's status message
	header = 2  // of a frame from the server; a client's has a mask of 4 bytes more
)

// Run opens all websockets, then each sends a message and waits for it, over and over.
func Run(addr, host string, loads []Load, h2 bool, duration time.Duration) (Result, error) {
	var conns []io.ReadWriteCloser
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for _, l := range loads {
		dial := dial1
		if h2 {
			dial = dial2
		}
		c, err := dial(addr, host, l)
		if err != nil {
			return Result{}, fmt.Errorf("open a websocket: %w", err)
		}
		conns = append(conns, c)
	}
	seen := make([][]time.Duration, len(conns))
	end := time.Now().Add(duration)
	var g errgroup.Group
	for i, c := range conns {
		g.Go(func() (err error) {
			seen[i], err = echo(c, end)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	all := slices.Concat(seen...)
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(math.Ceil(q*float64(len(all))))-1] }
	return Result{PerSecond: float64(len(all)) / duration.Seconds(), P50: at(0.5), P99: at(0.99)}, nil
}

func echo(c io.ReadWriter, end time.Time) ([]time.Duration, error) {
	frame := make([]byte, header+4+size) // a mask of zeros leaves the message as it is
	frame[0], frame[1] = 0x82, 0x80|size
	reply := make([]byte, header+size)
	var seen []time.Duration
	for begin := time.Now(); begin.Before(end); begin = time.Now() {
		if _, err := c.Write(frame); err != nil {
			return nil, fmt.Errorf("send a message: %w", err)
		}
		if _, err := io.ReadFull(c, reply); err != nil {
			return nil, fmt.Errorf("receive a message: %w", err)
		}
		if reply[0] != 0x82 || reply[1] != size {
			return nil, fmt.Errorf("a frame begins with % x", reply[:header])
		}
		seen = append(seen, time.Since(begin))
	}
	return seen, nil
}

type conn1 struct {
	net.Conn
	in *bufio.Reader
}

func (c conn1) Read(p []byte) (int, error) { return c.in.Read(p) }

func dial1(addr, host string, l Load) (io.ReadWriteCloser, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nCookie: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", l.Path, host, host, l.Cookie); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("%s answers %s", l.Path, resp.Status)
	}
	return conn1{conn, in}, nil
}

type conn2 struct {
	io.Writer
	io.Reader
	close func() error
}

func (c conn2) Close() error { return c.close() }

func dial2(addr, host string, l Load) (io.ReadWriteCloser, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 net/http's own transport refuses the header ":protocol"
	client, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	body, out := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodConnect, "http://"+host+l.Path, body)
	if err != nil {
		return nil, err
	}
	req.Header[":protocol"] = []string{"websocket"}
	req.Header.Set("Origin", "http://"+host)
	req.Header.Set("Cookie", l.Cookie)
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") // RFC 8441 needs none, a server behind HTTP/1.1 does
	resp, err := client.RoundTrip(req)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", l.Path, resp.Status)
	}
	return conn2{out, resp.Body, conn.Close}, nil
}
