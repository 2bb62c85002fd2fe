package spawn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const withQuotas = `
base: {image: a, cpu_guarantee: 1, mem_limit: 2G}
profiles:
- display_name: Lab
- display_name: GPU
  quota_weight: 2.5
  kubespawner_override: {cpu_limit: 4, extra_resource_limits: {nvidia.com/mig-1g.5gb: 2}}
- {display_name: Free, quota_weight: 0, max_age: 2h}
quotas:
  everybody: {servers: 1.5, cpu: 2000, memory: 1T, storage: 1Ti, named_servers: 3, hours_per_week: 40, hours_per_month: 0.5}
  lab: {groups: [physics], together: true, extra_resources: {nvidia.com/mig-1g.5gb: 7}}
`

func TestQuotas(t *testing.T) {
	t.Parallel()
	p := readPolicy(t, withQuotas)
	alice := access.User{Name: "alice", Groups: []string{"Physics"}}
	want := quota.Limits{}
	amounts := quota.Amounts{
		quota.Servers: 1500, quota.CPU: 2_000_000, quota.Memory: 1 << 40, quota.Storage: 1 << 40, quota.NamedServers: 3,
		quota.HoursPerWeek: 144_000, quota.HoursPerMonth: 1800,
	}
	for resource, most := range amounts {
		want[resource] = quota.Limit{Rule: "everybody", Most: most}
	}
	want[quota.Homes] = quota.Limit{Most: 8} // of 3 named servers and the default one
	if diff := cmp.Diff(want, p.Limits(alice)); diff != "" {
		t.Error(diff)
	}
	if shared := p.Shared(alice); len(shared) != 1 || shared[0].Name != "lab" || shared[0].Most["nvidia.com/mig-1g.5gb"] != 7 {
		t.Errorf("shared: %+v", shared)
	}
	none := Policy{}
	if limits := none.Limits(alice); limits[quota.NamedServers].Most != MaxServers-1 || len(limits) != 2 {
		t.Errorf("without quotas: %+v", limits)
	}
}

// TestWhatAServerTakes: the limit, or the guarantee where there is none.
func TestWhatAServerTakes(t *testing.T) {
	t.Parallel()
	p := readPolicy(t, withQuotas)
	alice, id := access.User{Name: "alice", Groups: []string{"physics"}}, server.ID{User: "alice", Name: "x"}
	for profile, want := range map[string]quota.Ask{
		"lab":  {Weight: 1000, Uses: quota.Amounts{quota.CPU: 1000, quota.Memory: 2 << 30}},
		"gpu":  {Weight: 2500, Uses: quota.Amounts{quota.CPU: 4000, quota.Memory: 2 << 30, "nvidia.com/mig-1g.5gb": 2}},
		"free": {Weight: 0, Lasts: 2 * time.Hour, Uses: quota.Amounts{quota.CPU: 1000, quota.Memory: 2 << 30}},
	} {
		resolved, err := p.Resolve(alice, Options{Profile: profile})
		if err != nil {
			t.Fatal(err)
		}
		pod := Pod(Site{}, Spec{ID: id, Profile: resolved, Nonce: "n", DisplayName: "X 1", SharedRules: []string{"lab"}})
		needs := p.Needs(alice, id, pod, map[string]int64{"home-alice": 5})
		if len(needs) != 2 || needs[0].Subject != (Subject{Name: "alice"}) || needs[1].Subject != (Subject{Name: "lab", Shared: true}) {
			t.Fatalf("%s: %+v", profile, needs)
		}
		own, shared := needs[0].Ask, needs[1].Ask
		delete(own.Uses, "ephemeral-storage")
		if own.Weight != want.Weight || own.Lasts != want.Lasts || !cmp.Equal(own.Uses, want.Uses) || own.Key != "x" || own.Nonce != "n" || own.Volumes["home-alice"] != 5 || own.Named.DisplayName != "X 1" {
			t.Errorf("%s: own %+v", profile, own)
		}
		if shared.Key != "alice/x" || shared.Named != nil || shared.Weight != want.Weight {
			t.Errorf("%s: shared %+v", profile, shared)
		}
		// Another version of the platform, with other quotas, takes it out of the same records.
		if holds := Holds(pod, id); len(holds) != 2 || holds[1].Subject != needs[1].Subject || holds[1].Ask.Key != "alice/x" {
			t.Errorf("%s: holds %+v", profile, holds)
		}
	}
}

// What is counted on a pod by hand or by another version counts as an ordinary server.
func TestCountedAs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]counted{
		"": {Weight: 1000}, "{": {Weight: 1000}, `{"weight":-5}`: {Weight: 1000}, `{"weight":0,"rules":["a"]}`: {Rules: []string{"a"}},
	} {
		pod := Pod(Site{}, Spec{ID: server.ID{User: "alice"}})
		pod.Annotations[contract.AnnotationQuota] = text
		if got := countedAs(pod); !cmp.Equal(got, want) {
			t.Errorf("%q: %+v", text, got)
		}
		pod.Annotations[contract.AnnotationOptions] = text
		r, _ := quota.Record{}.Adopt(AskOf(pod, server.ID{User: "alice", Name: "x"}), time.Now(), time.Now())
		if _, err := r.Encode(); err != nil {
			t.Errorf("options %q: %v", text, err)
		}
	}
}

func TestQuotasReportEveryFault(t *testing.T) {
	t.Parallel()
	keys := faultKeys(t, `
base: {image: a}
profiles: [{display_name: A, quota_weight: 1001}]
quotas:
  "a b": {servers: 1}
  bad: {servers: many, cpu: -1, memory: 1X, storage: 1e999, hours_per_week: "", hours_per_month: x, extra_resources: {cpu: 1, "a b": 1}}
  nameless: {groups: [""], users: [" "], servers: 1}
  names: {together: true, named_servers: 101}
  nothing: {groups: [x]}
`)
	want := []string{
		"profiles[0].quota_weight", "quotas.a b", "quotas.bad.servers", "quotas.bad.cpu", "quotas.bad.storage", "quotas.bad.hours_per_month",
		"quotas.bad.extra_resources.a b", "quotas.bad.extra_resources.cpu", "quotas.bad.memory",
		"quotas.nameless.groups", "quotas.nameless.users", "quotas.names.named_servers", "quotas.names.named_servers", "quotas.nothing",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
}

// TestRefusalsSayWhichQuotaByHowMuchAndWhen: in the units that users know.
func TestRefusalsSayWhichQuotaByHowMuchAndWhen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		refusal quota.Refusal
		shared  bool
		want    string
	}{
		{quota.Refusal{Resource: quota.Servers, Most: 2500, Used: 2000, Asked: 1000}, false, "failure.over_servers free.stop 2 1 2.5 0.5 "},
		{quota.Refusal{Resource: quota.CPU, Most: 4000, Used: 3500, Asked: 1000, Free: at}, false, "failure.over_cpu free.stop_at 3.5 1 4 0.5 2026-11-30 00:00 UTC"},
		{quota.Refusal{Resource: quota.CPU, Most: 500, Asked: 1000}, true, "failure.over_cpu free.smaller 0 1 0.5 0.5 "},
		{quota.Refusal{Resource: quota.Memory, Most: 8 << 30, Used: 7 << 30, Asked: 2 << 30}, true, "failure.over_memory free.others 7 GiB 2 GiB 8 GiB 1 GiB "},
		{quota.Refusal{Resource: "nvidia.com/gpu", Most: 4, Used: 4, Asked: 1, Free: at}, true, "failure.over_extra free.others_at 4 1 4 1 2026-11-30 00:00 UTC"},
		{quota.Refusal{Resource: quota.Storage, Most: 10 << 30, Used: 10 << 30, Asked: 1 << 30}, false, "failure.over_storage free.storage 10 GiB 1 GiB 10 GiB 1 GiB "},
		{quota.Refusal{Resource: quota.HoursPerWeek, Most: 144000, Used: 144100, Asked: 1, Free: at}, false, "failure.over_week free.at 40 0 40 0 2026-11-30 00:00 UTC"},
		{quota.Refusal{Resource: quota.HoursPerMonth, Most: 144000, Used: 145000, Asked: 1, Free: at}, true, "failure.over_month free.at 40.3 0 40 0.3 2026-11-30 00:00 UTC"},
	} {
		p := overdrawn(&c.refusal, c.shared)
		got := strings.Join([]string{string(p.Message), string(p.Next), p.Data["Used"], p.Data["Asked"], p.Data["Most"], p.Data["Over"], p.Data["Free"]}, " ")
		if got != c.want || !errors.As(p, new(*quota.Refusal)) {
			t.Errorf("%+v:\n%s, want\n%s", c.refusal, got, c.want)
		}
	}
}

// RecordSubject takes only what RecordName gives.
func TestRecordNames(t *testing.T) {
	t.Parallel()
	for _, s := range []Subject{{Name: "alice"}, {Name: "Ali/ce"}, {Name: "alice", Shared: true}, {Name: "数据", Shared: true}} {
		data, err := quota.Record{Subject: s.Name}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := RecordSubject(s.RecordName(), data); got != s || !ok {
			t.Errorf("%+v comes back as %+v", s, got)
		}
		if _, ok := RecordSubject("usage.user.bob", data); ok {
			t.Errorf("%+v is bob's", s)
		}
	}
	if _, ok := RecordSubject("usage.user.bob", nil); ok {
		t.Error("nothing is bob's record")
	}
}

// BenchmarkDecide resolves a start whole: profile, options, groups, overrides and quotas, of 200
// profiles, for a user in 20 groups. It must stay below 100 µs.
func BenchmarkDecide(b *testing.B) {
	var text strings.Builder
	text.WriteString("base: {image: example.org/lab:1}\nprofiles:\n")
	for i := range 200 {
		fmt.Fprintf(&text, "- {display_name: P %d, slug: p%d, allowed_groups: [g%d, staff], profile_options: {size: {choices: {s: {display_name: S}, l: {display_name: L, kubespawner_override: {mem_limit: 8G}}}}}}\n", i, i, i)
	}
	text.WriteString("group_overrides:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  o%d: {groups: [g%d], spawner_override: {mem_guarantee: 1G}}\n", i, 190+i)
	}
	text.WriteString("quotas:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  q%d: {groups: [g%d], servers: 3, cpu: 8, memory: 32G, hours_per_week: 40}\n", i, 190+i)
	}
	policy := readPolicy(b, text.String())
	alice, id := access.User{Name: "alice"}, server.ID{User: "alice"}
	for i := range 20 {
		alice.Groups = append(alice.Groups, fmt.Sprintf("g%d", 180+i))
	}
	record := quota.Record{Subject: "alice", Holds: map[string]quota.Hold{"x": {Weight: quota.One, Since: time.Now()}}, Days: map[string]int64{}}
	for i := range 40 {
		record.Days[time.Now().AddDate(0, 0, -i).Format("2006-01-02")] = 3600
	}
	now := time.Now()
	for b.Loop() {
		p, err := policy.Resolve(alice, Options{Profile: "p199", Choices: map[string]string{"size": "l"}})
		if err != nil {
			b.Fatal(err)
		}
		pod := Pod(Site{}, Spec{ID: id, Profile: p, Nonce: "n"})
		for _, need := range policy.Needs(alice, id, pod, nil) {
			if _, err := need.Take(record, now); err != nil {
				var p *Problem
				if !errors.As(err, &p) {
					b.Fatal(err)
				}
			}
		}
	}
}
