package plan

import (
	"fmt"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
)

// EmptySource is what mountinfo calls the driver's own empty folders.
const EmptySource = contract.EmptyHome

// Mount is a line of mountinfo, as far as it matters here (proc_pid_mountinfo(5)).
type Mount struct {
	Point  string
	Source string
	Type   string
	Shared bool // what is mounted below it is seen where else it is mounted
}

// ParseMounts reads a mountinfo. The order is that of the kernel: of two mounts on one folder the later one lies on top.
func ParseMounts(text string) ([]Mount, error) {
	// The kernel writes these four as octal escapes.
	escapes := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var mounts []Mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if !ok || len(front) < 6 || len(back) < 2 {
			return nil, fmt.Errorf("no line of a mountinfo: %q", line)
		}
		m := Mount{Point: escapes.Replace(front[4]), Type: back[0], Source: escapes.Replace(back[1])}
		for _, field := range front[6:] {
			m.Shared = m.Shared || strings.HasPrefix(field, "shared:")
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// At returns the mounts on a folder, the lowest first.
func At(mounts []Mount, folder string) (stack []Mount) {
	for _, m := range mounts {
		if m.Point == folder {
			stack = append(stack, m)
		}
	}
	return stack
}

// SharedWith reports whether mounts in a folder are seen by the machine and its pods: the mount that holds the folder is
// shared. Without that a home would be mounted for the driver alone.
func SharedWith(mounts []Mount, folder string) bool {
	var holder Mount
	for _, m := range mounts {
		if (folder == m.Point || strings.HasPrefix(folder, strings.TrimSuffix(m.Point, "/")+"/")) && len(m.Point) >= len(holder.Point) {
			holder = m
		}
	}
	return holder.Shared
}
