package spawn

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/server/access"
)

// due reads group_overrides of most tests here.
const due = `
base: {image: "example.org/lab:1", cpu_limit: 1, mem_limit: 1G, environment: {FROM: base}}
profiles:
- display_name: Open
  slug: open
- display_name: Fixed
  slug: fixed
  kubespawner_override: {mem_limit: 2G, environment: {FROM: profile}}
  profile_options: {size: {choices: {a: {display_name: A}, b: {display_name: B, kubespawner_override: {mem_limit: 9G}}}}}
group_overrides:
  10-ml: {groups: [ml], spawner_override: {cpu_limit: 4, mem_limit: 4G, environment: {FROM: ml}}}
  20-staff: {groups: [staff], spawner_override: {mem_limit: 8G}}
  00-carol: {users: [carol], spawner_override: {mem_limit: 16G}}
  30-fixed: {groups: [ml], profiles: [fixed], spawner_override: {mem_limit: 3G}}
  05-dave: {users: [dave], groups: [nobody], profiles: [fixed], spawner_override: {mem_limit: 5G, mem_guarantee: 5G}}
`

// TestPrecedence is the order of precedence that docs/decisions/019-quotas.md writes down, from the
// weakest to the strongest: shared settings, groups, user, profile, groups for this profile, user
// for this profile, choice.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, due)
	for _, c := range []struct {
		name    string
		user    access.User
		profile string
		choices map[string]string
		memory  Memory
		cpu     Cores
		from    string
	}{
		{"nobody's group: the shared settings", access.User{Name: "alice"}, "open", nil, "1G", "1", "base"},
		{"a group's", access.User{Name: "alice", Groups: []string{"ml"}}, "open", nil, "4G", "4", "ml"},
		{"two groups': the later name counts", access.User{Name: "alice", Groups: []string{"staff", "ml"}}, "open", nil, "8G", "4", "ml"},
		{"the user's over the groups'", access.User{Name: "carol", Groups: []string{"staff", "ml"}}, "open", nil, "16G", "4", "ml"},
		{"another user with such a name", access.User{Name: "Carol"}, "open", nil, "1G", "1", "base"},
		{"the profile over the user's", access.User{Name: "carol"}, "fixed", nil, "2G", "1", "profile"},
		{"a group's for the profile", access.User{Name: "carol", Groups: []string{"ml"}}, "fixed", nil, "3G", "4", "profile"},
		{"the user's for the profile over the group's", access.User{Name: "dave", Groups: []string{"ml"}}, "fixed", nil, "5G", "4", "profile"},
		{"for another profile", access.User{Name: "dave"}, "open", nil, "1G", "1", "base"},
		{"the choice over all", access.User{Name: "dave", Groups: []string{"ml"}}, "fixed", map[string]string{"size": "b"}, "9G", "4", "profile"},
	} {
		p, err := policy.Resolve(c.user, Options{Profile: c.profile, Choices: c.choices})
		if err != nil || p.Override.MemLimit != c.memory || p.Override.CPULimit != c.cpu || p.Override.Environment["FROM"] != c.from {
			t.Errorf("%s: %s, %s, %s, %v", c.name, p.Override.MemLimit, p.Override.CPULimit, p.Override.Environment["FROM"], err)
		}
		if c.choices != nil {
			continue
		}
		for _, shown := range policy.For(c.user) {
			if shown.Slug == c.profile && shown.Override.MemLimit != c.memory {
				t.Errorf("%s: the form shows %s", c.name, shown.Override.MemLimit)
			}
		}
	}
	if policy.Profiles[0].Override.Environment["FROM"] != "base" {
		t.Error("a group's settings are in everybody's profile")
	}
}

// TestLifetimePrecedence: age and idle time of a server have the same order, and what a layer leaves
// open is the one's below. 0 is a time: never.
func TestLifetimePrecedence(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, `
base: {image: a}
max_age: 24h
cull: {idle: 1h}
profiles: [{display_name: Open}, {display_name: GPU, cull: {idle: 30m}}]
group_overrides:
  a-staff: {groups: [staff], cull: {idle: 4h}}
  b-ops: {groups: [ops], max_age: 0, cull: {idle: 0}}
  c-gpu: {groups: [staff], profiles: [gpu], cull: {idle: 10m}, max_age: 2h}
  d-dave: {users: [dave], cull: {idle: 8h}}
`)
	for _, c := range []struct {
		name      string
		user      access.User
		profile   string
		idle, age Span
	}{
		{"the installation's", access.User{Name: "alice"}, "open", "1h", "24h"},
		{"the profile's", access.User{Name: "alice"}, "gpu", "30m", "24h"},
		{"a group's", access.User{Name: "alice", Groups: []string{"staff"}}, "open", "4h", "24h"},
		{"never", access.User{Name: "alice", Groups: []string{"ops", "staff"}}, "open", "0", "0"},
		{"the user's over the groups'", access.User{Name: "dave", Groups: []string{"ops"}}, "open", "8h", "0"},
		{"the profile's over the user's", access.User{Name: "dave"}, "gpu", "30m", "24h"},
		{"a group's for the profile", access.User{Name: "dave", Groups: []string{"staff"}}, "gpu", "10m", "2h"},
	} {
		p, err := policy.Resolve(c.user, Options{Profile: c.profile})
		if err != nil || p.Cull.Idle != c.idle || p.MaxAge != c.age {
			t.Errorf("%s: idle %s, age %s, %v; want %s, %s", c.name, p.Cull.Idle, p.MaxAge, err, c.idle, c.age)
		}
	}
	if keys := faultKeys(t, `
base: {image: a}
profiles: [{display_name: A}]
group_overrides: {a: {groups: [a], max_age: 5s, cull: {idle: soon}}}
`); !slices.Equal(keys, []string{"group_overrides.a.max_age", "group_overrides.a.cull.idle"}) {
		t.Errorf("faults: %v", keys)
	}
}

// Two groups' settings that are right alone may make no server together.
func TestOverridesThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, `
base: {image: a, mem_limit: 4G}
profiles: [{display_name: A}]
group_overrides: {a: {groups: [a], spawner_override: {mem_guarantee: 3G}}, b: {groups: [b], spawner_override: {mem_limit: 2G}}}
`)
	for _, groups := range [][]string{{"a"}, {"b"}} {
		if _, err := policy.Resolve(access.User{Groups: groups}, Options{}); err != nil {
			t.Errorf("%v: %v", groups, err)
		}
	}
	_, err := policy.Resolve(access.User{Groups: []string{"a", "b"}}, Options{})
	var problem *Problem
	if !errors.As(err, &problem) || problem.Message != MsgChoices || problem.Data["Key"] != "mem_limit" {
		t.Errorf("both: %v", err)
	}
}

func TestOverridesReportEveryFault(t *testing.T) {
	t.Parallel()
	keys := faultKeys(t, `
base: {image: a, mem_guarantee: 1G, mem_limit: 2G}
profiles: [{display_name: A}, {display_name: B, kubespawner_override: {mem_limit: 1G}}]
group_overrides:
  empty: {spawner_override: {mem_limit: 4G}}
  nameless: {groups: [" "], spawner_override: {mem_limit: 4G}}
  unknown: {groups: [x], profiles: [a, c], spawner_override: {mem_limit: 4G}}
  tight: {groups: [x], spawner_override: {mem_guarantee: 1.5G, environment: {PERIJOVE_USER: bob}}}
  home: {users: [x], spawner_override: {volumes: [{name: x, persistentVolumeClaim: {claimName: home-bob}}]}}
`)
	want := []string{
		"group_overrides.empty",
		"group_overrides.home.spawner_override.volumes[0].persistentVolumeClaim.claimName",
		"group_overrides.nameless.groups",
		"group_overrides.tight.spawner_override.environment.PERIJOVE_USER",
		"group_overrides.tight.spawner_override.mem_limit",
		"group_overrides.unknown.profiles[1]",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
}
