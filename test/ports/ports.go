// Package ports finds TCP ports on the loopback for processes that must be told one. A
// server inside the test listens on port 0 and needs none of this.
package ports

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Free returns a port on 127.0.0.1 that no socket holds now.
func Free(t testing.TB) int {
	t.Helper()
	found, err := Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

// FreeAddr is Free as host:port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Free(t)))
}

// The ports that are given out lie below those that the kernel gives to outgoing connections
// (ip_local_port_range begins at 32768), so none is taken between here and its use.
const (
	lowest = 20_000
	many   = 12_000
)

// given counts the ports that this process has looked at: none is given out twice. Processes
// that run beside each other begin at different places.
var given atomic.Uint32

// Find returns n different ports; it is for callers without a test.
func Find(n int) ([]int, error) {
	const apart = 97 // ports between two processes that began one after the other
	var found []int
	for range many {
		if len(found) == n {
			return found, nil
		}
		port := lowest + (os.Getpid()*apart+int(given.Add(1)))%many
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // somebody has it
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		found = append(found, port)
	}
	return nil, fmt.Errorf("find a free port: none of %d to %d", lowest, lowest+many-1)
}
