package host

import (
	"strings"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Hierarchy is one mounted tree of cgroups.
type Hierarchy struct {
	Path      string
	Delegates bool // the machine's only tree is cgroup v2, so controllers must be handed down in it
}

// Hierarchies finds the cgroup trees in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)), v1, v2 or both.
func Hierarchies(mountinfo string) []Hierarchy {
	var found []Hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		kind, _, _ := strings.Cut(after, " ")
		if kind != "cgroup" && kind != "cgroup2" {
			continue
		}
		found = append(found, Hierarchy{Path: fields[4], Delegates: kind == "cgroup2" && fields[4] == layout.CgroupFS})
	}
	return found
}

// wantedControllers is what to write into cgroup.subtree_control: the kernel refuses the whole line if it lacks one of them.
func wantedControllers(available string) string {
	var enable []string
	for _, controller := range strings.Fields(available) {
		switch controller {
		case "cpuset", "cpu", "io", "memory", "pids", "hugetlb":
			enable = append(enable, "+"+controller)
		}
	}
	return strings.Join(enable, " ")
}
