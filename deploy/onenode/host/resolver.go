package host

import (
	"net"
	"os"
	"strings"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Resolver returns the file with name servers that pods can use. usable is false if the machine has none but local ones, which a pod cannot reach
// (and a CoreDNS that forwards to 127.0.0.1 would ask itself).
func Resolver() (file string, usable bool) {
	for _, file := range []string{"/etc/resolv.conf", layout.SystemdResolv} {
		if content, err := os.ReadFile(file); err == nil && reachable(string(content)) {
			return file, true
		}
	}
	return "/etc/resolv.conf", false
}

// reachable reports whether a resolv.conf(5) has name servers and none of them is local.
func reachable(conf string) bool {
	found := false
	for line := range strings.Lines(conf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, _, _ := strings.Cut(fields[1], "%")
		if ip := net.ParseIP(address); ip == nil || ip.IsLoopback() {
			return false
		}
		found = true
	}
	return found
}
