package spawn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Options{"": {}, "{}": {}, `{"profile":"gpu"}`: {Profile: "gpu"}, `{"profile":"gpu","safe":true}`: {Profile: "gpu", Safe: true}, ` {"profile": ""} `: {}, `{"size":""}`: {},
		`{"profile":"gpu","size":"big","image--unlisted-choice":"a/b:1"}`: {Profile: "gpu", Choices: map[string]string{"size": "big", "image--unlisted-choice": "a/b:1"}},
	} {
		if got, err := ParseOptions([]byte(in)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"[]", "{", `"gpu"`, `{"profile":7}`, `{"safe":"yes"}`, `{"profile":["gpu"]}`, `{"profile":"gpu","x":1}`, `{"image":null}`, `{"image":{"a":"b"}}`, `{}{}`, `{} x`} {
		if got, err := ParseOptions([]byte(in)); err == nil {
			t.Errorf("K4: %q was read as %+v", in, got)
		}
	}
}

func TestOptionsAreKeptOnThePod(t *testing.T) {
	t.Parallel()
	gpu := Options{Profile: "gpu", Choices: map[string]string{"size": "big"}}
	pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Options: gpu, Nonce: nonce})
	if got := (Options{}).OrKept(pod); !cmp.Equal(got, gpu) {
		t.Errorf("nothing chosen: %+v", got)
	}
	if got := (Options{Profile: "lab"}).OrKept(pod); got.Profile != "lab" || got.Choices != nil {
		t.Errorf("another choice: %+v", got)
	}
	if got := (Options{Safe: true}).OrKept(pod); !cmp.Equal(got, Options{Profile: "gpu", Choices: gpu.Choices, Safe: true}) {
		t.Errorf("the same, but safe: %+v", got)
	}
	if got := (Options{}).OrKept(nil); !got.IsZero() {
		t.Errorf("no pod: %+v", got)
	}
	pod.Annotations[contract.AnnotationOptions] = `{"from":7}`
	if got := (Options{}).OrKept(pod); !got.IsZero() {
		t.Errorf("unreadable: %+v", got)
	}
	delete(pod.Annotations, contract.AnnotationOptions)
	if got := (Options{}).OrKept(pod); !got.IsZero() {
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
