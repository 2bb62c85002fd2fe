package port

import (
	"net"
	"os"
	"strings"
	"testing"
)

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F41 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0000000000000000 20 4 30 10 -1
`

func TestListener(t *testing.T) {
	for port, want := range map[int]string{8000: "4242", 8001: "", 80: "", 0x1F4: ""} {
		if got := listener(table, port); got != want {
			t.Errorf("port %d: inode %q, want %q", port, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	number := l.Addr().(*net.TCPAddr).Port
	holder, err := Find("/proc", number)
	if err != nil || holder == nil {
		t.Fatalf("holder %v, %v", holder, err)
	}
	if holder.PID != os.Getpid() || !strings.Contains(holder.String(), "port.test") {
		t.Errorf("holder is %v, want this test, process %d", holder, os.Getpid())
	}
	l.Close()
	if holder, err := Find("/proc", number); holder != nil || err != nil {
		t.Errorf("after closing: %v, %v", holder, err)
	}
}
