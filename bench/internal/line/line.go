// Package line is a slow line between a browser and a site: it takes connections and passes their
// bytes on, late and no faster than the line is wide. All connections share the width, as those of
// one household do, and the handshake of each costs one way there and back.
//
// It works on bytes of TCP and knows nothing of what they mean: no packet is lost, and a window
// that grows slowly is not part of it.
package line

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Line is one, with a width for each direction.
type Line struct {
	to       string
	delay    time.Duration
	up, down *width
	listener net.Listener
}

// Open opens a line to an address, host:port, which is reached by Addr. Each direction carries so
// many bytes a second; roundTrip is how long a byte takes there and back. It is open until ctx ends.
func Open(ctx context.Context, to string, bytesPerSecond int, roundTrip time.Duration) (*Line, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a line: %w", err)
	}
	l := &Line{to: to, delay: roundTrip / 2, up: &width{rate: bytesPerSecond}, down: &width{rate: bytesPerSecond}, listener: listener}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(ctx, conn)
		}
	}()
	return l, nil
}

// Addr is the near end of the line, host:port.
func (l *Line) Addr() string { return l.listener.Addr().String() }

// carry passes on one connection's bytes until both directions have ended.
func (l *Line) carry(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(near, far, l.up, l.delay, 2*l.delay) }) // what is sent first waits for the handshake
	both.Go(func() { pass(far, near, l.down, l.delay, 0) })
	both.Wait()
}

// width is what one direction carries at most.
type width struct {
	rate int
	mu   sync.Mutex
	free time.Time // when all that was sent so far has left
}

// take says when n bytes that come now have left.
func (w *width) take(n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(n) * time.Second / time.Duration(w.rate))
	return w.free
}

// packet is what arrives at one moment.
type packet struct {
	data []byte
	due  time.Time
}

// pass reads from one end and writes to the other until one of them ends. Bytes are so late, the
// first ones by more; all keep their order.
func pass(from, to net.Conn, w *width, late, more time.Duration) {
	const size, queued = 4 << 10, 64 // what a packet may hold, and how many are on the way
	way := make(chan packet, queued)
	var out sync.WaitGroup
	out.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // its reader ends, and way with it
			}
		}
		if c, ok := to.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	})
	for {
		buffer := make([]byte, size)
		n, err := from.Read(buffer)
		if n > 0 {
			way <- packet{buffer[:n], w.take(n).Add(late + more)}
			more = 0
		}
		if err != nil {
			break
		}
	}
	close(way)
	out.Wait()
}
