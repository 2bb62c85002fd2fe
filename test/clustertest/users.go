package clustertest

import (
	"slices"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// users: who has a server, a home or a published pod is known, each once and sorted. The users of a
// shared quota are, and its record is no user. Who has nothing any more is forgotten.
func users(t *testing.T, e *Env) {
	if got := e.Cluster.Users(); len(got) != 0 {
		t.Fatalf("before anything: %q", got)
	}
	crew := access.User{Name: "zoë", Groups: []string{"crew"}}
	e.start(t, crew, "", spawn.Options{})
	e.start(t, alice, "", spawn.Options{})
	e.start(t, alice, "b", spawn.Options{})
	pod := memory.Labelled("rstudio", server.ID{User: "bob", Name: "rstudio"}, e.Clock.Now())
	pod.Namespace = Site().Namespace
	e.Put(pod)
	eventually(t, e.Cluster.Users, "alice", "bob", "zoë")
	// A home stays after its server, and then goes with its user.
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
		t.Fatalf("stop: %v, %v", gone, err)
	}
	e.becomes(t, aliceID, spawn.Stopped)
	eventually(t, e.Cluster.Users, "alice", "bob", "zoë")
	if err := e.Cluster.DeleteUser(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, e.Cluster.Users, "bob", "zoë")
	if got := e.Cluster.Users(); !slices.IsSorted(got) {
		t.Errorf("%q", got)
	}
}
