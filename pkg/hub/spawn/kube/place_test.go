package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// TestD7_PlacesAreToldOnceASecond: each start moves all that wait behind it, and each of those may
// have a page open.
func TestD7_PlacesAreToldOnceASecond(t *testing.T) {
	t.Parallel()
	q := newQueue()
	var order []spawn.Queued
	for i := range 1000 {
		order = append(order, spawn.Queued{ID: server.ID{User: fmt.Sprint("u", i)}})
	}
	now, told := time.Now(), 0
	for i := range 100 { // a start each ten milliseconds
		told += len(q.renumber(order[i:], now.Add(time.Duration(i)*10*time.Millisecond)))
	}
	if told != 1000 {
		t.Errorf("%d were told something within a second", told)
	}
	last := order[999].ID
	if n := q.place(last); n != 900 {
		t.Errorf("pages say %d", n)
	}
	if n := len(q.renumber(order[99:], now.Add(time.Second))); n != 999 {
		t.Errorf("%d are told after a second", n) // all but the first, which never moved
	}
	if n := q.place(server.ID{User: "new"}); n != 901 {
		t.Errorf("one that just came is behind %d", n)
	}
}

// TestStartAfterAWaitThatIsOver: the cache still shows that an earlier start waits.
func TestStartAfterAWaitThatIsOver(t *testing.T) {
	t.Parallel()
	client := newClient()
	cfg := settings(t)
	cfg.SpawnLimit = 1
	c, stop := boot(t, client, cfg)
	occupied(t, client, c)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	before := aliceTicket(client)
	stop() // its cache no longer follows
	if err := c.changeLive(t.Context(), spawn.Subject{Name: "alice"}, func(r quota.Record) (quota.Record, bool, error) {
		r, left := r.Leave("", "")
		return r, left, nil
	}); err != nil || aliceWaits(client) != 0 {
		t.Fatal(err)
	}
	for range 2 { // the second one joins the first
		if err := c.Start(t.Context(), ask(alice)); err != nil {
			t.Error(err)
		}
	}
	if after := aliceTicket(client); aliceWaits(client) != 1 || after == before {
		t.Errorf("%d wait", aliceWaits(client))
	}
}
