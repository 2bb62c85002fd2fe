package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// storageQuota is a policy with this storage and a quota of it for each user.
func storageQuota(t *testing.T, o spawn.Override, most spawn.Amount) Settings {
	t.Helper()
	o.Image = "example.org/lab:1"
	policy, faults := spawn.Document{
		Profiles: []spawn.Profile{{DisplayName: "Lab", Slug: "lab", Override: o}},
		Quotas:   map[string]spawn.Quota{"homes": {Storage: most}, "all": {Storage: "1Ti", Together: true, Groups: []string{"staff"}}},
	}.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s := settings(t)
	s.Policy = func() spawn.Policy { return policy }
	return s
}

// volumes returns what the records of alice and of the group's quota know of the size of a claim.
func volumes(c *Cluster, claim string) [2]int64 {
	return [2]int64{
		c.record(spawn.Subject{Name: "alice"}).Volumes[claim],
		c.record(spawn.Subject{Name: "all", Shared: true}).Volumes[claim],
	}
}

// TestQuotaDoesNotLockHomes: a home that is there is not enlarged beyond a quota, and its server
// starts; the records know its size, also of a home from before the records.
func TestQuotaDoesNotLockHomes(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for wanted, has := range map[spawn.Amount]int64{"10Gi": 5, "7Gi": 7} {
		client := newClient(bound(t, "5Gi"))
		c, _ := boot(t, client, storageQuota(t, spawn.Override{StorageCapacity: wanted}, "8Gi"))
		if err := c.Start(t.Context(), spawn.Request{ID: alice, Owner: access.User{Name: "alice", Groups: []string{"staff"}}}); err != nil {
			t.Fatalf("%s: %v", wanted, err)
		}
		if got := claimsIn(t, client)["home-alice"]; got != fmt.Sprint(has)+"Gi" {
			t.Errorf("the profile wants %s: the home asks for %s", wanted, got)
		}
		step, ok := told(t, c, alice)
		if ok != (has == 5) || ok && !strings.Contains(step.Detail, "quota homes: storage") {
			t.Errorf("the profile wants %s: the page says %+v", wanted, step)
		}
		wait.Until(t, "the records know the home", func() bool { return volumes(c, "home-alice") == [2]int64{has * gib, has * gib} })
	}
	client := newClient() // negative control: there is no home yet
	c, _ := boot(t, client, storageQuota(t, spawn.Override{StorageCapacity: "10Gi"}, "8Gi"))
	var p *spawn.Problem
	if err := c.Start(t.Context(), ask(alice)); !errors.As(err, &p) || p.Message != spawn.MsgOverStorage {
		t.Errorf("a new home beyond the quota: %v", err)
	}
}

// TestHomesThatCannotGrowAreCountedAsTheyAre: what the cluster refused is in no record.
func TestHomesThatCannotGrowAreCountedAsTheyAre(t *testing.T) {
	t.Parallel()
	client := newClient(bound(t, "5Gi"))
	refuse(client, 0, errors.New("no"))
	c, _ := boot(t, client, storageQuota(t, spawn.Override{StorageCapacity: "10Gi"}, "100Gi"))
	if err := c.Start(t.Context(), spawn.Request{ID: alice, Owner: access.User{Name: "alice", Groups: []string{"staff"}}}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the records know the home", func() bool { return volumes(c, "home-alice") == [2]int64{5 << 30, 5 << 30} })
}

// TestD7_HomesOfDeletedServersAreBounded: they stay, and so a user who makes ever new servers is
// refused before the cluster is full. Servers whose homes are there still start.
func TestD7_HomesOfDeletedServersAreBounded(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, with(t, spawn.Override{StorageHomes: "server"}))
	most := int(c.Policy().Limits(access.User{Name: "alice"})[quota.Homes].Most)
	full := quota.Record{Subject: "alice", Volumes: map[string]int64{}}
	for i := range most {
		id := server.ID{User: "alice", Name: fmt.Sprint("s", i)}
		full.Volumes[spawn.Claim(c.Site, c.Policy().Profiles[0], id).Name] = 1 << 30
	}
	c.mend(t.Context(), spawn.Subject{Name: "alice"}, func(quota.Record) (quota.Record, bool, error) { return full, true, nil })
	var p *spawn.Problem
	if err := c.Start(t.Context(), ask(demo)); !errors.As(err, &p) || p.Message != spawn.MsgTooManyHomes {
		t.Errorf("one home more than %d: %v", most, err)
	}
	if got := claimsIn(t, client); len(got) != 0 {
		t.Errorf("the refused start made %v", got)
	}
	start(t, c, client, server.ID{User: "alice", Name: "s0"})
}
