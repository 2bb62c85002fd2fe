package cleanup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

// killWithin bounds how long processes may take to be gone after SIGKILL.
const killWithin = 20 * time.Second

// KillAll ends every process of the node: those with our mark and, if pods is set, those in the pods' cgroups. It looks again until a look finds none,
// since a process may start another before it dies.
func KillAll(l layout.Layout, pods bool) error {
	return killUntilNone(func() ([]int, error) {
		marked, err := marked(l, "", everyProgram)
		if err != nil || !pods {
			return marked, err
		}
		pods, err := inPods(layout.CgroupName)
		return append(marked, pods...), err
	})
}

// KillNode ends every process of one further node, its pods' included.
func KillNode(n layout.Node) error {
	return killUntilNone(func() ([]int, error) {
		marked, err := marked(n.Layout, layout.NodeMarker+"="+strconv.Itoa(n.Number), everyProgram)
		if err != nil {
			return nil, err
		}
		pods, err := inPods(n.Cgroup())
		return append(marked, pods...), err
	})
}

func everyProgram(string) bool { return true }

// KillParts ends parts whose supervisor is gone, and leaves the pods and their shims alone: they go on under the new parts.
func KillParts(l layout.Layout) error {
	return killUntilNone(func() ([]int, error) {
		return marked(l, "", func(program string) bool { return !strings.HasPrefix(program, "containerd-shim") })
	})
}

func killUntilNone(list func() ([]int, error)) error {
	deadline := time.Now().Add(killWithin)
	for {
		pids, err := list()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end after SIGKILL: see `ps -o pid,stat,wchan,args -p …`", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// marked lists processes, other than this one, whose environment carries our mark with this state folder, and also the variable if there is one, and whose
// program's name is accepted.
func marked(l layout.Layout, variable string, accept func(program string) bool) ([]int, error) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	mark := []byte(layout.Marker + "=" + l.State)
	var pids []int
	for _, file := range environments {
		environment, err := os.ReadFile(file)
		if err != nil || !hasVariable(environment, mark) || variable != "" && !hasVariable(environment, []byte(variable)) {
			continue // it ended meanwhile, or is a kernel thread, or dead and waiting for its parent
		}
		folder := filepath.Dir(file)
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || pid == os.Getpid() {
			continue
		}
		program, err := os.Readlink(filepath.Join(folder, "exe"))
		if err != nil || !accept(filepath.Base(program)) {
			continue
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func hasVariable(environment, variable []byte) bool {
	for entry := range bytes.SplitSeq(environment, []byte{0}) {
		if bytes.Equal(entry, variable) {
			return true
		}
	}
	return false
}

// inPods lists the processes in the cgroup and those below it, in every hierarchy.
func inPods(cgroup string) ([]int, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, hierarchy := range host.Hierarchies(string(mounts)) {
		root := filepath.Join(hierarchy.Path, cgroup)
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Base(path) != "cgroup.procs" {
				return ignoreMissing(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return ignoreMissing(err)
			}
			for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
				if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("processes of pods: %w", err)
		}
	}
	return pids, nil
}
