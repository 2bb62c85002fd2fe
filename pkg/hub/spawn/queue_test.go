package spawn

import (
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// TestInOrder: first come first served, and nobody's second start before another's first.
func TestInOrder(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	q := func(user, name string, turn, asked int) Queued {
		return Queued{ID: server.ID{User: user, Name: name}, Wait: quota.Wait{Turn: at(turn), Asked: at(asked)}}
	}
	claimed := q("carol", "x", 0, 0)
	claimed.Claimed = at(10)
	left := q("dave", "y", 4, 4) // its replica was killed
	left.Claimed = at(-100)
	for want, all := range map[string][]Queued{
		"":                                   nil,
		"alice/ bob/":                        {q("bob", "", 2, 2), q("alice", "", 1, 1)},
		"mallory/1 bob/ mallory/2 mallory/3": {q("mallory", "3", 0, 0), q("mallory", "2", 0, 0), q("bob", "", 9, 9), q("mallory", "1", 0, 0)},
		"bob/ mallory/1 mallory/2":           {q("mallory", "2", 10, 1), q("bob", "", 9, 9), q("mallory", "1", 10, 0)}, // mallory's first one has begun
		"alice/ dave/y":                      {left, claimed, q("alice", "", 1, 1)},
	} {
		var got []string
		order, begun := InOrder(all, at(20))
		for _, one := range order {
			got = append(got, one.ID.String())
		}
		if strings.Join(got, " ") != want || len(order)+len(begun) != len(all) {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// TestQueueKeepsTheRequest: what waits is what was asked for.
func TestQueueKeepsTheRequest(t *testing.T) {
	t.Parallel()
	owner := access.User{Name: "alice", Groups: []string{"physics"}, Admin: true}
	spec := Spec{ID: server.ID{User: "alice", Name: "a"}, DisplayName: "A <b>", Options: Options{Profile: "gpu", Safe: true, Choices: map[string]string{"size": "big"}}}
	r, err := Queue(quota.Record{Subject: "alice"}, owner, spec, Need{}, "ticket", "replica", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := QueueOf("alice", r)[0].Request()
	if got.ID != spec.ID || got.DisplayName != spec.DisplayName || got.Options.Profile != "gpu" || !got.Options.Safe || got.Options.Choices["size"] != "big" {
		t.Errorf("%+v", got)
	}
	if got.Owner.Name != "alice" || len(got.Owner.Groups) != 1 || got.Owner.Admin {
		t.Errorf("owner: %+v", got.Owner)
	}
}
