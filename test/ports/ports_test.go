package ports

import (
	"net"
	"testing"
)

// TestEachPortIsGivenOnce, whoever asks, and none that is held.
func TestEachPortIsGivenOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 500 {
		port := Free(t)
		if seen[port] {
			t.Fatalf("%d was given twice", port)
		}
		seen[port] = true
	}
	l, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	several, err := Find(many - 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range several {
		if port == l.Addr().(*net.TCPAddr).Port {
			t.Errorf("%d is held and was given", port)
		}
	}
}
