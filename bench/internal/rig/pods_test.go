package rig

import (
	"net/netip"
	"testing"

	"github.com/perijove/perijove/pkg/notebook"
	"github.com/perijove/perijove/pkg/notebook/podform"
)

// Every user must have an own address that leads to the upstream, or upstream
// connections are shared that in a cluster are not.
func TestEveryPodIsRoutedToAnOwnAddress(t *testing.T) {
	network := netip.MustParsePrefix(podNetwork)
	seen := map[netip.AddrPort]bool{}
	for i := range 100_500 {
		addr := netip.MustParseAddr(PodIP(i))
		if !network.Contains(addr) {
			t.Fatalf("pod %d is at %s, outside of %s", i, addr, network)
		}
		seen[netip.AddrPortFrom(addr, UpstreamPort)] = true
	}
	if len(seen) != 100_500 {
		t.Errorf("100,500 pods have %d addresses", len(seen))
	}
	server, err := podform.Read(Pod("ns", 7))
	if err != nil {
		t.Fatal(err)
	}
	if server.ID != (notebook.ID{User: User(7)}) || server.Addr.String() != PodIP(7)+":8888" || server.Nonce == "" {
		t.Errorf("pod 7 is read as %+v", server)
	}
}
