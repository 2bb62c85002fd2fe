package clustertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/trail"
	"github.com/perijove/perijove/test/wait"
)

// trails: who started, stopped and deleted a user's servers, also a start that waited. What changes
// nothing leaves no event, and other users have their own.
func trails(t *testing.T, e *Env) {
	carol := trail.As(t.Context(), "carol")
	for range 2 {
		if err := e.Cluster.Start(carol, spawn.Request{ID: server.ID{User: "alice", Name: "demo"}, Owner: alice}); err != nil {
			t.Fatal(err)
		}
	}
	e.start(t, bob, "", spawn.Options{})
	for range 2 {
		if gone, err := e.Cluster.Stop(carol, server.ID{User: "alice", Name: "demo"}, time.Second); !gone || err != nil {
			t.Fatalf("stop: %v, %v", gone, err)
		}
	}
	for range 2 {
		if err := e.Cluster.Forget(trail.As(t.Context(), "alice"), server.ID{User: "alice", Name: "demo"}); err != nil {
			t.Fatal(err)
		}
	}
	want := "started carol demo; stopped carol demo; deleted alice demo; "
	var got string
	wait.Until(t, "alice's trail", func() bool { got = told(e.Cluster.Trail("alice")); return len(got) >= len(want) })
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := told(e.Cluster.Trail("bob")); got != "started  ; " {
		t.Errorf("bob's: %s", got)
	}
	for i := range SpawnLimit {
		e.start(t, alice, fmt.Sprint("w", i), spawn.Options{})
	}
	last := server.ID{User: "alice", Name: fmt.Sprint("w", SpawnLimit-1)} // bob's takes a place
	if _, err := e.Cluster.Stop(carol, last, time.Second); err != nil {
		t.Fatal(err)
	}
	want += "started  w0; started  w1; started  w2; stopped carol w2; "
	wait.Until(t, "alice's trail of starts that wait", func() bool { return told(e.Cluster.Trail("alice")) == want })
}

func told(events trail.Trail) (text string) {
	for _, e := range events {
		text += fmt.Sprint(e.What, " ", e.By, " ", e.Of, "; ")
	}
	return text
}
