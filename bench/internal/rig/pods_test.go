package rig

import (
	"net/netip"
	"testing"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
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
	got, err := podmeta.Read(Pod("ns", 7))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != (server.ID{User: User(7)}) || got.Addr.String() != PodIP(7)+":8888" || got.Nonce == "" {
		t.Errorf("pod 7 is read as %+v", got)
	}
}
