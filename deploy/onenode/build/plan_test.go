package build

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestKey(t *testing.T) {
	key := func(files map[string]string) string {
		t.Helper()
		sources := fstest.MapFS{}
		for name, content := range files {
			sources[name] = &fstest.MapFile{Data: []byte(content)}
		}
		key, err := Key(sources)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	base := key(map[string]string{"go.mod": "a", "x/main.go": "b"})
	if again := key(map[string]string{"go.mod": "a", "x/main.go": "b"}); again != base {
		t.Errorf("equal sources, keys %s and %s", base, again)
	}
	for name, files := range map[string]map[string]string{
		"content": {"go.mod": "A", "x/main.go": "b"},
		"name":    {"go.mod": "a", "y/main.go": "b"},
		"moved":   {"go.mod": "ab", "x/main.go": ""},
	} {
		if key(files) == base {
			t.Errorf("another %s gives the same key: an old build would run", name)
		}
	}
}

func TestBuiltName(t *testing.T) {
	for pkg, want := range map[string]string{
		"go.etcd.io/etcd/server/v3": "server",
		"example.org/x/ctr":         "ctr",
		"example.org/x/v":           "v",
		"example.org/x/view":        "view",
	} {
		if got := builtName(pkg); got != want {
			t.Errorf("builtName(%s) = %s, want %s", pkg, got, want)
		}
	}
}

// Two programs that `go build -o folder/` would write to one file would silently become one.
func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, pkg := range programs() {
		if other, ok := seen[builtName(pkg)]; ok {
			t.Errorf("%s and %s are both built as %s", pkg, other, builtName(pkg))
		}
		seen[builtName(pkg)] = pkg
	}
}

// The module's own go.mod is the one place that pins versions: what we build must be in it, and the versions told to programs come from it.
func TestPinned(t *testing.T) {
	gomod, err := os.ReadFile("../programs/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	link, err := linkFlags(gomod)
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Join(link, " ")
	for _, want := range []string{
		"k8s.io/component-base/version.gitVersion=v1.", "k8s.io/component-base/version.gitMajor=1 ", "containerd/v2/version.Version=v2.",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("link flags lack %q: %s", want, flags)
		}
	}
	for _, pkg := range programs() {
		if strings.HasPrefix(pkg, "github.com/perijove/") {
			continue
		}
		if !strings.Contains(string(gomod), "\t"+pkg+"\n") {
			t.Errorf("go.mod lists no tool %s: `go mod tidy` would drop its module", pkg)
		}
	}
	if _, err := linkFlags([]byte("module x\n")); err == nil {
		t.Error("a go.mod without Kubernetes gives link flags")
	}
}
