package rig

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// Wiretap stands on the Unix socket between Envoys and an xds-server and counts what
// passes, HTTP/2 frames and all. It survives a restart of the server.
type Wiretap struct {
	Sock     string
	Down, Up atomic.Int64 // bytes to Envoy and from it
}

// Tap starts to listen on a new socket in front of sock.
func (r *Rig) Tap(sock string) (*Wiretap, error) {
	w := &Wiretap{Sock: sock + ".tap"}
	l, err := net.Listen("unix", w.Sock)
	if err != nil {
		return nil, fmt.Errorf("listen in front of the xds-server: %w", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.join(conn, sock)
		}
	}()
	return w, nil
}

func (w *Wiretap) join(envoy net.Conn, sock string) {
	defer func() { _ = envoy.Close() }()
	server, err := net.Dial("unix", sock)
	if err != nil {
		return // Envoy tries again, as it does without us
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, counted{envoy, &w.Up})
		_ = server.Close()
	}()
	_, _ = io.Copy(envoy, counted{server, &w.Down})
}

// counted hides ReadFrom and WriteTo, so that every byte passes Read.
type counted struct {
	in io.Reader
	n  *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n.Add(int64(n))
	return n, err
}
