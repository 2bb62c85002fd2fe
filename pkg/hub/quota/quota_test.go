package quota

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/server/access"
)

// now is a Wednesday.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const hour = 3600

// TestOwn: for each resource a rule for the user goes before rules for groups, those before a rule
// for everybody, and of several groups' the most generous counts.
func TestOwn(t *testing.T) {
	t.Parallel()
	rules := []Rule{
		{Name: "all", Most: Amounts{Servers: 2, CPU: 8, Storage: 10}},
		{Name: "students", Groups: []string{"students"}, Most: Amounts{Servers: 1}},
		{Name: "ml", Groups: []string{"ML team"}, Most: Amounts{Servers: 3, "nvidia.com/gpu": 2}},
		{Name: "carol", Users: []string{"carol"}, Most: Amounts{Servers: 0, CPU: 64}},
		{Name: "ml two", Groups: []string{"ML team"}, Most: Amounts{Servers: 3}},
		{Name: "carol again", Users: []string{"carol"}, Most: Amounts{CPU: 32}},
		{Name: "together", Groups: []string{"students"}, Together: true, Most: Amounts{CPU: 1}},
	}
	for _, c := range []struct {
		name   string
		groups []string
		want   string
	}{
		{"alice", nil, "cpu 8 all, servers 2 all, storage 10 all"},
		{"alice", []string{"students"}, "cpu 8 all, servers 1 students, storage 10 all"},
		{"alice", []string{"students", "ml team"}, "cpu 8 all, nvidia.com/gpu 2 ml, servers 3 ml, storage 10 all"},
		{"carol", []string{"ml team"}, "cpu 64 carol, nvidia.com/gpu 2 ml, servers 0 carol, storage 10 all"},
		{"CAROL", []string{"carol"}, "cpu 8 all, servers 2 all, storage 10 all"},
	} {
		user := access.User{Name: c.name, Groups: c.groups}
		if got := text(Own(rules, user)); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.name, c.groups, got, c.want)
		}
	}
	if got := Shared(rules, access.User{Name: "x", Groups: []string{"Students"}}); len(got) != 1 || got[0].Name != "together" {
		t.Errorf("shared: %+v", got)
	}
	if got := Shared(rules, access.User{Name: "x"}); got != nil {
		t.Errorf("shared with nobody: %+v", got)
	}
}

func text(limits Limits) (s string) {
	var parts []string
	for resource, l := range limits {
		parts = append(parts, fmt.Sprintf("%s %d %s", resource, l.Most, l.Rule))
	}
	slices.Sort(parts)
	for i, p := range parts {
		if i > 0 {
			s += ", "
		}
		s += p
	}
	return s
}

// record is a user with two servers, a home, and a past.
func record() Record {
	return Record{
		Subject: "alice",
		Holds: map[string]Hold{
			"":    {Nonce: "n1", Since: now.Add(-3 * time.Hour), Weight: One, Uses: Amounts{CPU: 2000, Memory: 4 << 30}},
			"gpu": {Nonce: "n2", Since: now.Add(-time.Hour), Until: now.Add(5 * time.Hour), Weight: 4 * One, Uses: Amounts{CPU: 4000, "nvidia.com/gpu": 1}},
		},
		Volumes: map[string]int64{"home-alice": 10 << 30},
		Days:    map[string]int64{"2026-11-22": 50 * hour, "2026-11-23": 10 * hour, "2026-10-31": 7 * hour}, // Sunday, Monday, October
		Named:   map[string]Named{"gpu": {}},
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	small := Ask{Key: "x", Nonce: "n3", Weight: One, Uses: Amounts{CPU: 1000, Memory: 1 << 30}}
	weighty, free, named, again, bigger := small, small, small, small, small
	weighty.Weight, free.Weight = 5*One, 0
	named.Named = &Named{}
	again.Key, again.Uses = "gpu", Amounts{CPU: 4000, "nvidia.com/gpu": 1}
	bigger.Volumes = map[string]int64{"home-alice": 12 << 30}
	for _, c := range []struct {
		name     string
		ask      Ask
		resource Resource
		most     int64
		want     *Refusal // Rule, Resource and Most are filled in
	}{
		{"room for one more", small, Servers, 6 * One, nil},
		{"no room for one more", small, Servers, 5 * One, &Refusal{Used: 5 * One, Asked: One, Free: now.Add(5 * time.Hour), Holders: []string{"", "gpu"}}},
		{"a server that counts more", weighty, Servers, 9 * One, &Refusal{Used: 5 * One, Asked: 5 * One, Free: now.Add(5 * time.Hour), Holders: []string{"", "gpu"}}},
		{"a server that counts nothing", free, Servers, 0, nil},
		{"cores to the last one", small, CPU, 7000, nil},
		{"a core too many", small, CPU, 6999, &Refusal{Used: 6000, Asked: 1000, Free: now.Add(5 * time.Hour), Holders: []string{"", "gpu"}}},
		{"more than all of it", small, CPU, 999, &Refusal{Used: 6000, Asked: 1000, Holders: []string{"", "gpu"}}},
		{"memory that no server gives back by itself", small, Memory, 4 << 30, &Refusal{Used: 4 << 30, Asked: 1 << 30, Holders: []string{""}}},
		{"the same server again takes its own place", again, "nvidia.com/gpu", 1, nil},
		{"what it does not need", small, "nvidia.com/gpu", 0, nil},
		{"a home that is there, over the quota", Ask{Key: "x", Volumes: map[string]int64{"home-alice": 10 << 30}}, Storage, 1, nil},
		{"a larger home", bigger, Storage, 11 << 30, &Refusal{Used: 10 << 30, Asked: 2 << 30}},
		{"a second home", Ask{Key: "x", Volumes: map[string]int64{"home-x": 1 << 30}}, Storage, 11 << 30, nil},
		{"hours of this week are left", small, HoursPerWeek, 17*hour + 1, nil},
		{"hours of this week are used up", small, HoursPerWeek, 17 * hour, &Refusal{Used: 17 * hour, Asked: 1, Free: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), Holders: nil}},
		{"hours of this month are used up", small, HoursPerMonth, 67 * hour, &Refusal{Used: 67 * hour, Asked: 1, Free: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}},
		{"hours of this month are left", small, HoursPerMonth, 67*hour + 1, nil},
		{"hours that do not count", free, HoursPerWeek, 0, nil},
		{"a name too many", named, NamedServers, 1, &Refusal{Used: 1, Asked: 1}},
		{"a name that is there", Ask{Key: "gpu", Named: &Named{}}, NamedServers, 1, nil},
		{"a server without a name", small, NamedServers, 0, nil},
	} {
		before := record()
		after, err := before.Take(c.ask, Limits{c.resource: {Rule: "r", Most: c.most}}, now)
		if diff := cmp.Diff(record(), before); diff != "" {
			t.Errorf("%s: the record itself changed: %s", c.name, diff)
		}
		var refusal *Refusal
		errors.As(err, &refusal)
		if c.want != nil {
			c.want.Rule, c.want.Resource, c.want.Most = "r", c.resource, c.most
		}
		if diff := cmp.Diff(c.want, refusal); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if err == nil && !after.Has(c.ask.Key, c.ask.Nonce) {
			t.Errorf("%s: the record does not hold the server", c.name)
		}
	}
}

// When there is room again is when enough servers have reached their age, and not one earlier.
func TestFreeIsWhenThereIsEnough(t *testing.T) {
	t.Parallel()
	r := record()
	r.Holds["b"] = Hold{Nonce: "n3", Since: now, Until: now.Add(time.Hour), Uses: Amounts{CPU: 1000}}
	for asked, want := range map[int64]time.Duration{1000: time.Hour, 2000: 5 * time.Hour, 5000: 5 * time.Hour, 6000: 0} {
		_, err := r.Take(Ask{Key: "x", Uses: Amounts{CPU: asked}}, Limits{CPU: {Most: 7000}}, now)
		var refusal *Refusal
		if !errors.As(err, &refusal) || want > 0 && !refusal.Free.Equal(now.Add(want)) || want == 0 && !refusal.Free.IsZero() {
			t.Errorf("%d more: %v", asked, refusal)
		}
	}
}

// A start ends the hold of the same server's former pod, and its time counts.
func TestTakeEndsTheFormerPod(t *testing.T) {
	t.Parallel()
	r, err := record().Take(Ask{Key: "gpu", Nonce: "n9", Weight: One}, nil, now)
	if err != nil || r.Holds["gpu"].Nonce != "n9" || !r.Holds["gpu"].Until.IsZero() || !r.Holds["gpu"].Since.Equal(now) || r.Days["2026-11-25"] != 4*hour {
		t.Errorf("%+v, %v", r, err)
	}
}

// Days end at midnight UTC, and what is long past is forgotten.
func TestReleaseCountsEachDay(t *testing.T) {
	t.Parallel()
	r := Record{
		Holds: map[string]Hold{"x": {Nonce: "n", Since: now.Add(-38 * time.Hour), Weight: One / 2}}, // since Monday 22:00
		Days:  map[string]int64{"2026-11-23": 1, "2026-01-01": 5, "nonsense": 1},
	}
	midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	old := Record{Holds: map[string]Hold{"x": {Nonce: "n", Since: midnight}}, Days: map[string]int64{"2026-10-16": 1, "2026-10-15": 1}}
	if kept, _ := old.Release("x", "n", midnight); len(kept.Days) != 1 || kept.Days["2026-10-16"] != 1 {
		t.Errorf("of days 40 and 41 days ago: %v", kept.Days)
	}
	ever := Record{Holds: map[string]Hold{"x": {Nonce: "n", Since: now.AddDate(-1, 0, 0), Weight: One}}}
	if long, _ := ever.Release("x", "n", now); len(long.Days) != 40 || long.Days["2026-11-25"] != 12*hour || long.Days["2026-10-17"] != 24*hour {
		t.Errorf("a server that ran for a year: %d days, %v", len(long.Days), long.Days)
	}
	if same, changed := r.Release("x", "another", now); changed || !same.Has("x", "n") {
		t.Error("another pod's end ended the hold")
	}
	out, changed := r.Release("x", "n", now)
	want := map[string]int64{"2026-11-23": 1 + hour, "2026-11-24": 12 * hour, "2026-11-25": 6 * hour}
	if diff := cmp.Diff(want, out.Days); diff != "" || !changed || len(out.Holds) != 0 {
		t.Errorf("%v %+v: %s", changed, out, diff)
	}
	if _, changed := out.Release("x", "n", now); changed {
		t.Error("the second replica's release changed something")
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	a := Ask{Key: "x", Nonce: "n", Weight: One, Uses: Amounts{CPU: 1}, Lasts: 2 * time.Hour, Named: &Named{DisplayName: "X"}}
	r, changed := Record{Subject: "alice"}.Adopt(a, now.Add(-time.Hour), now)
	if !changed || !r.Has("x", "n") || r.Named["x"].DisplayName != "X" || r.Named["x"].Created.IsZero() || r.spent(now.Add(-2*time.Hour), now) != hour || !r.Holds["x"].Until.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", r)
	}
	if _, changed := r.Adopt(a, now, now); changed {
		t.Error("adopted twice")
	}
	a.Nonce, a.Named = "n2", &Named{}
	if r, _ = r.Adopt(a, now, now); !r.Has("x", "n2") || r.Named["x"].DisplayName != "X" {
		t.Errorf("the next pod: %+v", r)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	r := record()
	got := r.Stale(func(key string) bool { return key == "gpu" }, time.Minute, now)
	if !slices.Equal(got, []string{""}) {
		t.Errorf("stale: %q", got)
	}
	if got := r.Stale(func(string) bool { return false }, 3*time.Hour, now); got != nil {
		t.Errorf("young holds are stale: %q", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	data, err := record().Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(data, "alice")
	if diff := cmp.Diff(record(), r); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, c := range []struct{ data, subject string }{{string(data), "bob"}, {"{", "alice"}, {"", "alice"}, {"[]", "alice"}} {
		if _, err := Parse([]byte(c.data), c.subject); err == nil {
			t.Errorf("%q is %s's", c.data, c.subject)
		}
	}
}

// FuzzTake: whatever a record holds, what is let in fits, unless it asks for nothing more.
func FuzzTake(f *testing.F) {
	data, err := record().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, int64(1000), int64(6000), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, cpu, most, storage int64) {
		r, err := Parse(data, "alice")
		if err != nil || cpu < 0 || most < 0 || storage < 0 {
			return
		}
		for _, h := range r.Holds {
			for _, n := range h.Uses {
				if n < 0 {
					return
				}
			}
			// Times of other centuries come from no clock.
			if h.Weight < 0 || now.Sub(h.Since) > 100*24*time.Hour {
				return
			}
		}
		a := Ask{Key: "x", Nonce: "n", Weight: One, Uses: Amounts{CPU: cpu}, Volumes: map[string]int64{"v": storage}}
		out, err := r.Take(a, Limits{CPU: {Most: most}, HoursPerWeek: {Most: most}}, now)
		if err == nil && cpu > 0 && out.used(CPU, now) > most {
			t.Fatalf("%d used of %d", out.used(CPU, now), most)
		}
	})
}

// BenchmarkTake judges and writes a start in a record that 500 servers share.
func BenchmarkTake(b *testing.B) {
	r := Record{Holds: map[string]Hold{}}
	for i := range 500 {
		r.Holds[fmt.Sprintf("user%d/", i)] = Hold{Nonce: "n", Since: now, Weight: One, Uses: Amounts{CPU: 1000, Memory: 1 << 30}}
	}
	limits := Limits{Servers: {Most: 1e9}, CPU: {Most: 1e9}, Memory: {Most: 1 << 60}}
	for b.Loop() {
		if _, err := r.Take(Ask{Key: "x", Weight: One, Uses: Amounts{CPU: 1000, Memory: 1 << 30}}, limits, now); err != nil {
			b.Fatal(err)
		}
	}
}
