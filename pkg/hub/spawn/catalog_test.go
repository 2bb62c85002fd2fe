package spawn

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	catalog := Catalog{
		{Slug: "gpu", AllowedGroups: []string{"physics", "staff"}},
		{Slug: "lab"},
		{Slug: "big", AllowedGroups: []string{"staff"}},
	}
	for _, c := range []struct {
		name    string
		catalog Catalog
		groups  []string
		profile string
		want    string
		problem Message
	}{
		{"nothing chosen: the first that is allowed", catalog, nil, "", "lab", ""},
		{"nothing chosen, in a group", catalog, []string{"physics"}, "", "gpu", ""},
		{"chosen and open to all", catalog, nil, "lab", "lab", ""},
		{"chosen and allowed by the second group", catalog, []string{"chess", "staff"}, "big", "big", ""},
		{"chosen and not allowed", catalog, []string{"physics"}, "big", "", MsgProfile},
		{"chosen and not there", catalog, []string{"staff"}, "huge", "", MsgProfile},
		{"another case", catalog, nil, "LAB", "", MsgProfile},
		{"a group in another case and with other blanks", catalog, []string{" Physics"}, "gpu", "gpu", ""},
		{"half of a group's name", catalog, []string{"phys"}, "gpu", "", MsgProfile},
		{"a nameless group is no group", catalog, []string{""}, "gpu", "", MsgProfile},
		{"nothing is allowed", catalog[:1], nil, "", "", MsgNoProfile},
		{"no profiles", nil, []string{"staff"}, "", "", MsgNoProfile},
	} {
		p, err := Policy{Profiles: c.catalog}.Resolve(access.User{Name: "alice", Groups: c.groups}, Options{Profile: c.profile})
		var problem *Problem
		errors.As(err, &problem)
		if p.Slug != c.want || (problem == nil) != (c.problem == "") || problem != nil && problem.Message != c.problem {
			t.Errorf("%s: %q, %v", c.name, p.Slug, err)
		}
		if problem != nil && problem.Message == MsgProfile && c.groups == nil && problem.Data["Profiles"] != "lab" {
			t.Errorf("%s: a user without groups is told of %s", c.name, problem.Data["Profiles"])
		}
	}
}

// document reads the list of profiles of most tests here.
const document = `
base: {image: "example.org/lab:1", cpu_limit: 2, mem_limit: 4G, environment: {LANG: C.UTF-8}, node_selector: {pool: cpu}}
profiles:
- display_name: Lab for all
  profile_options:
    size:
      display_name: Size
      choices:
        a-small: {display_name: Small}
        b-large: {display_name: Large, kubespawner_override: {mem_limit: 16G, environment: {SIZE: large}}}
        c-huge: {display_name: Huge, allowed_groups: [staff], kubespawner_override: {mem_limit: 64G, mem_guarantee: 3G}}
    tight:
      display_name: Tight
      choices: {a-no: {display_name: "No"}, b-yes: {display_name: "Yes", kubespawner_override: {mem_limit: 1G}}}
    image:
      display_name: Image
      choices:
        base: {display_name: Base, default: true}
        apl: {display_name: APL, kubespawner_override: {image: "example.org/apl:1"}}
      unlisted_choice:
        enabled: true
        display_name: Another image
        validation_regex: "example\\.org/[a-z]+:[0-9]+"
        validation_message: an image of example.org
        kubespawner_override: {image: "{value}", environment: {IMAGE: "{value}"}}
- display_name: GPU
  slug: gpu
  default: true
  allowed_groups: [physics]
  kubespawner_override: {node_selector: {pool: gpu}, extra_resource_limits: {nvidia.com/gpu: 1}, default_url: /tree, cmd: [jupyter, lab]}
`

func readPolicy(t testing.TB, text string) Policy {
	t.Helper()
	var d Document
	if err := config.Decode([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	p, faults := d.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

func TestProfilesShareTheBase(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, document)
	c := policy.Profiles
	if c[0].Slug != "lab-for-all" || c[0].Override.Image != "example.org/lab:1" || c[0].Override.NodeSelector["pool"] != "cpu" {
		t.Errorf("the first profile: %+v", c[0])
	}
	gpu := c[1].Override
	if gpu.NodeSelector["pool"] != "gpu" || gpu.Environment["LANG"] != "C.UTF-8" || gpu.CPULimit != "2" || gpu.DefaultURL != "/tree" {
		t.Errorf("the second profile: %+v", gpu)
	}
	if got, err := policy.Resolve(access.User{Groups: []string{"physics"}}, Options{}); err != nil || got.Slug != "gpu" {
		t.Errorf("the default of a physicist is %q, %v", got.Slug, err)
	}
	if got, err := policy.Resolve(access.User{}, Options{}); err != nil || got.Slug != "lab-for-all" {
		t.Errorf("the default of others is %q, %v", got.Slug, err)
	}
}

func TestChoices(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, document)
	for _, c := range []struct {
		name    string
		groups  []string
		choices map[string]string
		image   string
		memory  Memory
		problem Message
	}{
		{"nothing chosen", nil, nil, "example.org/lab:1", "4G", ""},
		{"one option", nil, map[string]string{"size": "b-large"}, "example.org/lab:1", "16G", ""},
		{"two options", nil, map[string]string{"size": "b-large", "image": "apl"}, "example.org/apl:1", "16G", ""},
		{"a typed value", nil, map[string]string{"image": "unlisted-choice", "image--unlisted-choice": "example.org/own:2"}, "example.org/own:2", "4G", ""},
		{"a typed value that does not match", nil, map[string]string{"image--unlisted-choice": "evil.org/own:2"}, "", "", MsgChoice},
		{"a typed value that matches in part", nil, map[string]string{"image--unlisted-choice": "example.org/own:2@x"}, "", "", MsgChoice},
		{"a typed value with a line behind it", nil, map[string]string{"image--unlisted-choice": "example.org/own:2\nx"}, "", "", MsgChoice},
		{"a typed value that is too long to keep", nil, map[string]string{"image--unlisted-choice": "example.org/" + strings.Repeat("a", maxUnlisted) + ":1"}, "", "", MsgChoice},
		{"a typed value where none is asked for", nil, map[string]string{"size--unlisted-choice": "99G"}, "", "", MsgChoice},
		{"a group's choice", []string{"staff"}, map[string]string{"size": "c-huge"}, "example.org/lab:1", "64G", ""},
		{"choices that do not go together", []string{"staff"}, map[string]string{"size": "c-huge", "tight": "b-yes"}, "", "", MsgChoices},
		{"another group's choice", []string{"chess"}, map[string]string{"size": "c-huge"}, "", "", MsgChoice},
		{"no such choice", nil, map[string]string{"size": "SMALL"}, "", "", MsgChoice},
		{"no such option", nil, map[string]string{"service_account": "root"}, "", "", MsgChoice},
		{"an override instead of an option", nil, map[string]string{"kubespawner_override": "x"}, "", "", MsgChoice},
	} {
		p, err := policy.Resolve(access.User{Groups: c.groups}, Options{Profile: "lab-for-all", Choices: c.choices})
		var problem *Problem
		errors.As(err, &problem)
		switch {
		case problem != nil:
			if problem.Message != c.problem {
				t.Errorf("%s: %v", c.name, err)
			}
			if strings.Contains(problem.Data["Choices"], "huge") && c.groups == nil {
				t.Errorf("%s: the user learns of another group's choice: %v", c.name, problem.Data)
			}
		case err != nil || c.problem != "" || p.Override.Image != c.image || p.Override.MemLimit != c.memory || p.Options != nil:
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
	if first := policy.Profiles[0]; first.Override.Environment["SIZE"] != "" || first.Override.Environment["IMAGE"] != "" {
		t.Error("a user's choice is in everybody's profile")
	}
}

// TestLasts: one choice without a lasting home is enough for pages not to promise that files stay.
func TestLasts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		option("choices: {x: {display_name: X}}"): true,
		option("choices: {x: {display_name: X}, y: {display_name: Y, kubespawner_override: {storage_type: none}}}"): false,
		"base: {image: a, storage_type: none}\nprofiles: [{display_name: A}]":                                       false,
	} {
		if got := readPolicy(t, text).Profiles[0].Lasts(); got != want {
			t.Errorf("%s lasts: %v", text, got)
		}
	}
}

func TestDocumentReportsEveryFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no profile":        {"profiles: []", "profiles"},
		"two with a name":   {"base: {image: a}\nprofiles: [{display_name: A}, {display_name: a}]", "profiles[1].slug"},
		"two defaults":      {"base: {image: a}\nprofiles: [{display_name: A, default: true}, {display_name: B, default: true}]", "profiles"},
		"no image":          {"profiles: [{display_name: A}]", "profiles[0].kubespawner_override.image"},
		"a bad choice":      {option("choices: {x: {display_name: X, kubespawner_override: {cpu_limit: many}}}"), "profiles[0].profile_options.o.choices.x.kubespawner_override.cpu_limit"},
		"two choices":       {option("choices: {x: {display_name: X, default: true}, y: {display_name: Y, default: true}}"), "profiles[0].profile_options.o.choices"},
		"nothing to choose": {option("display_name: O"), "profiles[0].profile_options.o"},
		"no expression":     {option(`unlisted_choice: {enabled: true, display_name: X, validation_regex: "(", kubespawner_override: {image: "{value}"}}`), "profiles[0].profile_options.o.unlisted_choice.validation_regex"},
		"no placeholder":    {option("unlisted_choice: {enabled: true, display_name: X, kubespawner_override: {image: b}}"), "profiles[0].profile_options.o.unlisted_choice.kubespawner_override"},
		"a typed variable of ours": {option(`unlisted_choice: {enabled: true, display_name: X, kubespawner_override: {environment: {PERIJOVE_USER: "{value}"}}}`),
			"profiles[0].profile_options.o.unlisted_choice.kubespawner_override.environment.PERIJOVE_USER"},
		"a host elsewhere": {"base: {image: a, default_url: //evil}\nprofiles: [{display_name: A}]", "profiles[0].kubespawner_override.default_url"},
	} {
		if diff := cmp.Diff([]string{c.want}, faultKeys(t, c.text)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// faultKeys returns the keys of what is wrong with a document.
func faultKeys(t *testing.T, text string) (keys []string) {
	t.Helper()
	var d Document
	if err := config.Decode([]byte(text), &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	_, faults := d.Policy()
	for _, f := range faults {
		keys = append(keys, f.Key)
	}
	return keys
}

// option is a document with one profile whose only option is o.
func option(o string) string {
	return "base: {image: a}\nprofiles:\n- display_name: A\n  profile_options:\n    o:\n      " + o + "\n"
}

// TestK4_K6_ProfilesHaveNoKeyForMore: what would make a server another user's, or let it reach
// the node, is an unknown key: it is named, and the whole list is refused.
func TestK4_K6_ProfilesHaveNoKeyForMore(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"extra_labels: {a: b}", "extra_annotations: {a: b}", "service_account: root", "automount_service_account_token: true",
		"privileged: true", "allow_privilege_escalation: true", "uid: 0", "fs_gid: 0", "container_security_context: {}", "extra_pod_config: {hostNetwork: true}",
		"extra_container_config: {}", "lifecycle_hooks: {}", "init_containers: []", "extra_containers: []", "namespace: kube-system",
		"pod_name_template: x", "volumes: [{name: x, hostPath: {path: /}}]", "volumes: [{name: x, secret: {secretName: y}}]",
		"volumes: [{name: x, projected: {sources: [{serviceAccountToken: {path: t}}]}}]", "volumes: [{name: x, csi: {driver: d}}]",
	} {
		for _, text := range []string{
			"base: {image: a, " + key + "}\nprofiles: [{display_name: A}]",
			"base: {image: a}\nprofiles: [{display_name: A, kubespawner_override: {" + key + "}}]",
			option("choices: {x: {display_name: X, kubespawner_override: {" + key + "}}}"),
			option(`unlisted_choice: {enabled: true, display_name: X, kubespawner_override: {image: "{value}", ` + key + "}}"),
		} {
			var d Document
			if err := config.Decode([]byte(text), &d); err == nil {
				t.Errorf("%s is taken", text)
			}
		}
	}
	for _, claim := range []string{"home-alice", "home-"} { // another user's home
		var d Document
		text := option("choices: {x: {display_name: X, kubespawner_override: {volumes: [{name: x, persistentVolumeClaim: {claimName: " + claim + "}}]}}}")
		if err := config.Decode([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if _, faults := d.Policy(); len(faults) == 0 {
			t.Errorf("the claim %s is taken", claim)
		}
	}
}

// BenchmarkResolve: of 200 profiles, with 20 groups. It must stay below 100 µs.
func BenchmarkResolve(b *testing.B) {
	var text strings.Builder
	text.WriteString("base: {image: example.org/lab:1}\nprofiles:\n")
	for i := range 200 {
		fmt.Fprintf(&text, "- display_name: P %d\n  slug: p%d\n  allowed_groups: [g%d, staff]\n", i, i, i)
		text.WriteString("  profile_options: {size: {choices: {s: {display_name: S}, l: {display_name: L, kubespawner_override: {mem_limit: 8G}}}}}\n")
	}
	policy := readPolicy(b, text.String())
	var groups []string
	for i := range 19 {
		groups = append(groups, fmt.Sprintf("x%d", i))
	}
	groups = append(groups, "g199")
	user := access.User{Name: "alice", Groups: groups}
	for b.Loop() {
		if _, err := policy.Resolve(user, Options{Profile: "p199", Choices: map[string]string{"size": "l"}}); err != nil {
			b.Fatal(err)
		}
	}
}
