// Package ports finds TCP ports on the loopback for processes that must be told one. A
// server inside the test listens on port 0 and needs none of this.
package ports

import (
	"fmt"
	"net"
	"strconv"
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

// Find returns n different ports; it is for callers without a test.
func Find(n int) ([]int, error) {
	found := make([]int, n)
	for i := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// Held until all are found, or the kernel could give the same one twice.
		defer func() { _ = l.Close() }()
		found[i] = l.Addr().(*net.TCPAddr).Port
	}
	return found, nil
}
