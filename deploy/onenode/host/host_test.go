package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

func TestHierarchies(t *testing.T) {
	tests := []struct {
		name, mountinfo string
		want            []Hierarchy
	}{
		{name: "v1 with a v2 tree beside it", mountinfo: `32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
40 31 0:37 / /sys/fs/cgroup/systemd rw shared:1 - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
`, want: []Hierarchy{{Path: "/sys/fs/cgroup/cpu"}, {Path: "/sys/fs/cgroup/systemd"}, {Path: "/sys/fs/cgroup/unified"}}},
		{name: "v2", mountinfo: "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", want: []Hierarchy{{Path: "/sys/fs/cgroup", Delegates: true}}},
		{name: "nonsense", mountinfo: "cgroup\n - cgroup\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Hierarchies(test.mountinfo); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWantedControllers(t *testing.T) {
	if got := wantedControllers("cpuset cpu rdma memory misc\n"); got != "+cpuset +cpu +memory" {
		t.Errorf("got %q", got)
	}
}

func TestReachable(t *testing.T) {
	for conf, want := range map[string]bool{
		"nameserver 192.0.2.1\n":                                   true,
		"search x\n# nameserver 127.0.0.1\nnameserver 192.0.2.1\n": true,
		"nameserver fe80::1%eth0\n":                                true,
		"nameserver 127.0.0.53\n":                                  false,
		"nameserver 192.0.2.1\nnameserver ::1\n":                   false,
		"nameserver nonsense\n":                                    false,
		"":                                                         false,
	} {
		if got := reachable(conf); got != want {
			t.Errorf("%q: got %v", conf, got)
		}
	}
}

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	if _, ok, err := ReadLedger(path); ok || err != nil {
		t.Errorf("no file: %v %v", ok, err)
	}
	if err := os.WriteFile(path, []byte(`{"sysctls": {`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := ReadLedger(path); ok || err != nil {
		t.Errorf("half a file: %v %v", ok, err)
	}
	if err := os.WriteFile(path, []byte(`{"folders": ["`+layout.CNICache+`"], "tables": ["ip kube-proxy"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ledger, ok, err := ReadLedger(path)
	if !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	if slices.Contains(ledger.NewFolders(), layout.CNICache) || !slices.Contains(ledger.NewFolders(), layout.CNICache+"/results") {
		t.Errorf("new folders: %v", ledger.NewFolders())
	}
	if !ledger.HadTable("ip", "kube-proxy") || ledger.HadTable("ip6", "kube-proxy") {
		t.Errorf("tables: %v", ledger.Tables)
	}
}

// Removing in the listed order must be possible: a folder comes before the one it lies in.
func TestSharedFoldersDeepestFirst(t *testing.T) {
	folders := sharedFolders()
	for i, folder := range folders {
		if parent := slices.Index(folders, filepath.Dir(folder)); parent >= 0 && parent < i {
			t.Errorf("%s comes after %s", folder, filepath.Dir(folder))
		}
	}
}
