package spawn

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/hub/quota"
)

// TestRuleUses: what all have together, and who has most of it.
func TestRuleUses(t *testing.T) {
	t.Parallel()
	p, faults := Document{Profiles: Catalog{{DisplayName: "Lab", Slug: "lab", Override: Override{Image: "x/lab:1"}}}, Quotas: map[string]Quota{
		"everybody": {Servers: "2", HoursPerWeek: "10"}, "lab": {Groups: []string{"lab"}, Together: true, CPU: "8"},
		"staff": {Groups: []string{"staff"}, Servers: "9"}, "zoe": {Users: []string{"zoë", "gone"}, Servers: "4"},
	}}.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	hold := func(cpu int64) quota.Hold {
		return quota.Hold{Since: now.Add(-time.Hour), Weight: quota.One, Uses: quota.Amounts{quota.CPU: cpu}}
	}
	records := map[Subject]quota.Record{
		{Name: "alice"}: {Holds: map[string]quota.Hold{"": hold(1000)}},
		{Name: "bob"}:   {Holds: map[string]quota.Hold{"": hold(1000), "b": hold(1000)}},
		{Name: "idle"}:  {},
		{Name: "zoë"}:   {Holds: map[string]quota.Hold{"": hold(2000)}, Days: map[string]int64{"2026-11-25": 9 * 3600}},
		{Name: "lab", Shared: true}: {Holds: map[string]quota.Hold{
			"alice/": hold(1000), "bob/": hold(2000), "bob/b": hold(3000),
		}},
	}
	var got []string
	for _, use := range p.RuleUses([]string{"alice", "bob", "idle", "zoë"}, func(s Subject) quota.Record { return records[s] }, now) {
		line := use.Name + ":"
		for _, u := range use.Usage {
			used, most := u.Words()
			line += fmt.Sprint(" ", u.Resource, " ", used, " of ", most)
		}
		for _, user := range use.Users {
			line += " " + user.User
			for _, u := range user.Usage {
				used, most := u.Words()
				line += fmt.Sprint(" ", u.Resource, " ", used, "/", most)
			}
		}
		for _, u := range use.Limits() {
			_, most := u.Words()
			line += fmt.Sprint(" | ", u.Resource, " ", most)
		}
		got = append(got, line)
	}
	want := []string{
		"everybody: bob hours_per_week 2/10 servers 2/2 zoë hours_per_week 10/10 servers 1/2 alice hours_per_week 1/10 servers 1/2 | hours_per_week 10 | servers 2",
		"lab: cpu 6 of 8 bob cpu 5/8 alice cpu 1/8 | cpu 8",
		"staff: | servers 9",
		"zoe: zoë servers 1/4 | servers 4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestD5_RuleUsesNameFew: however many users there are.
func TestD5_RuleUsesNameFew(t *testing.T) {
	t.Parallel()
	p, _ := Document{Profiles: Catalog{{DisplayName: "Lab", Slug: "lab", Override: Override{Image: "x/lab:1"}}}, Quotas: map[string]Quota{"everybody": {Servers: "0"}}}.Policy()
	var users []string
	for i := range 1000 {
		users = append(users, fmt.Sprint("u", i))
	}
	record := func(Subject) quota.Record { return quota.Record{Holds: map[string]quota.Hold{"": {Weight: 1}}} }
	if uses := p.RuleUses(users, record, time.Now()); len(uses) != 1 || len(uses[0].Users) != mostUsers {
		t.Errorf("%+v", uses)
	}
}
