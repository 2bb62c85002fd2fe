package spawn

import (
	"errors"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Options{"": {}, "{}": {}, `{"profile":"gpu"}`: {Profile: "gpu"}, `{"profile":"gpu","safe":true}`: {Profile: "gpu", Safe: true}, ` {"profile": ""} `: {}} {
		if got, err := ParseOptions([]byte(in)); err != nil || got != want {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"[]", "{", `"gpu"`, `{"profile":7}`, `{"safe":"yes"}`, `{"profile":["gpu"]}`, `{"image":"evil"}`, `{"profile":"gpu","x":1}`, `{}{}`, `{} x`} {
		if got, err := ParseOptions([]byte(in)); err == nil {
			t.Errorf("K4: %q was read as %+v", in, got)
		}
	}
}

func TestOptionsAreKeptOnThePod(t *testing.T) {
	t.Parallel()
	gpu := Options{Profile: "gpu"}
	pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Options: gpu, Nonce: nonce})
	if got := (Options{}).OrKept(pod); got != gpu {
		t.Errorf("nothing chosen: %+v", got)
	}
	if got := (Options{Profile: "lab"}).OrKept(pod); got.Profile != "lab" {
		t.Errorf("another choice: %+v", got)
	}
	if got := (Options{Safe: true}).OrKept(pod); got != (Options{Profile: "gpu", Safe: true}) {
		t.Errorf("the same, but safe: %+v", got)
	}
	if got := (Options{}).OrKept(nil); got != (Options{}) {
		t.Errorf("no pod: %+v", got)
	}
	pod.Annotations[contract.AnnotationOptions] = `{"from":"another version"}`
	if got := (Options{}).OrKept(pod); got != (Options{}) {
		t.Errorf("unreadable: %+v", got)
	}
	delete(pod.Annotations, contract.AnnotationOptions)
	if got := (Options{}).OrKept(pod); got != (Options{}) {
		t.Errorf("an older pod: %+v", got)
	}
}

// TestSafeStart: nothing that the user configured or installed in their home is read; the home is
// the same, and no profile's variable leads back.
func TestSafeStart(t *testing.T) {
	t.Parallel()
	env := func(o Options) map[string]string {
		p := Profile{Override: Override{Environment: map[string]string{"JUPYTER_CONFIG_DIR": "/home/jovyan/x", "LANG": "C.UTF-8"}}}
		out := map[string]string{}
		for _, e := range Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: p, Options: o, Nonce: nonce}).Spec.Containers[0].Env {
			if _, twice := out[e.Name]; twice {
				t.Errorf("%s is set twice", e.Name)
			}
			out[e.Name] = e.Value
		}
		return out
	}
	safe, usual := env(Options{Safe: true}), env(Options{})
	for _, name := range []string{"JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"} {
		if !strings.HasPrefix(safe[name], "/tmp/") {
			t.Errorf("%s is %q", name, safe[name])
		}
	}
	if safe["PYTHONNOUSERSITE"] == "" || safe["HOME"] != homePath || safe["LANG"] != "C.UTF-8" {
		t.Errorf("a safe start has %v", safe)
	}
	if usual["PYTHONNOUSERSITE"] != "" || usual["JUPYTER_CONFIG_DIR"] != "/home/jovyan/x" {
		t.Errorf("negative control: a usual start has %v", usual)
	}
}

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
		p, err := Resolve(c.catalog, c.groups, Options{Profile: c.profile})
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
