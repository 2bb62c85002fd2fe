package spawn

import (
	"slices"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

// TestPlacement: all objects of a server are where Placement says.
func TestPlacement(t *testing.T) {
	t.Parallel()
	p, id := Profile{Slug: "lab"}, server.ID{User: "alice"}
	want := site.Placement("alice", p)
	pod := Pod(site, Spec{ID: id, Profile: p, Nonce: nonce})
	for _, got := range []string{pod.Namespace, Claim(site, p, id).Namespace, settled(t, podKeys(t), pod).Namespace} {
		if got != want.Namespace {
			t.Errorf("an object is in %q, want %q", got, want.Namespace)
		}
	}
	if got := site.Places("alice", Catalog{p, {Slug: "gpu"}}); !slices.Equal(got, []Place{{Namespace: "servers"}}) {
		t.Errorf("alice's servers can be in %v", got)
	}
}
