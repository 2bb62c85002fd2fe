package homes

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/deploy/onenode/cleanup"
	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/test/wait"
)

// driver returns the process of the node's driver, 0 if there is none. Each node of onenode has a configuration of its own.
func (e *env) driver() int {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range found {
		if line, err := os.ReadFile(file); err == nil && string(line) == fmt.Sprintf("/homes\x00-config\x00/etc/perijove/homes-%d.yaml\x00", e.node.Number-1) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	return 0
}

// killDriver ends the driver as a lack of memory does.
func (e *env) killDriver() {
	e.t.Helper()
	pid := e.driver()
	if pid == 0 {
		e.t.Fatal("there is no driver")
	}
	e.must(syscall.Kill(pid, syscall.SIGKILL))
	wait.Within(e.t, patient, "the driver is dead", func() bool { return !lives(pid) })
}

func lives(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(line) > 0
}

// renewDriver has a new pod for the driver. A kubelet starts a container that was killed several times only after a while.
func (e *env) renewDriver() {
	e.t.Helper()
	force := int64(0)
	pods := e.admin.CoreV1().Pods(drivers)
	here := metav1.ListOptions{FieldSelector: "spec.nodeName=" + e.node.Name()}
	list, err := pods.List(e.t.Context(), here)
	e.must(err)
	for _, pod := range list.Items {
		e.must(pods.Delete(e.t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &force}))
	}
	wait.Within(e.t, patient, "a new driver runs", func() bool {
		list, err := pods.List(e.t.Context(), here)
		return err == nil && len(list.Items) == 1 && len(list.Items[0].Status.ContainerStatuses) == 1 &&
			list.Items[0].Status.ContainerStatuses[0].State.Running != nil && e.driver() != 0
	})
}

// diesIn kills the driver as it enters a system call for the first time, while do happens, and brings a new one.
func (e *env) diesIn(call string, do func()) {
	e.t.Helper()
	pid := e.driver()
	if pid == 0 {
		e.t.Fatal("there is no driver")
	}
	trace := exec.Command("strace", "-f", "-p", strconv.Itoa(pid), "-o", "/dev/null", "-e", "trace="+call, "-e", "inject="+call+":signal=SIGKILL")
	says, err := trace.StderrPipe()
	e.must(err)
	e.must(trace.Start())
	attached := make(chan struct{})
	go func() {
		lines, once := bufio.NewScanner(says), false
		for lines.Scan() {
			if !once && strings.Contains(lines.Text(), "attached") {
				once = true
				close(attached)
			}
		}
	}()
	select {
	case <-attached:
	case <-time.After(patient):
		_ = trace.Process.Kill()
		e.t.Fatal("strace is not attached to the driver")
	}
	do()
	died := wait.Poll(patient, func() bool { return !lives(pid) })
	_ = trace.Process.Kill()
	_ = trace.Wait() // it was killed
	if !died {
		e.t.Fatalf("the driver never came to %s", call)
	}
	e.renewDriver()
}

// onenode runs the program of `make up`.
func (e *env) onenode(args ...string) string {
	e.t.Helper()
	cache, err := os.UserCacheDir()
	e.must(err)
	cmd := exec.Command(filepath.Join(cache, "perijove", "bin", "onenode"), args...)
	cmd.Dir = ".." // inside the checkout, with its sources
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] == "up" {
		e.t.Fatalf("onenode %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// part returns the process of a part of the cluster, 0 if there is none: the third column of `onenode status`.
func (e *env) part(name string) int {
	e.t.Helper()
	for line := range strings.Lines(e.onenode("status")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == name {
			pid, _ := strconv.Atoi(fields[2])
			return pid
		}
	}
	return 0
}

// killPart ends a part of the cluster, which its supervisor starts anew.
func (e *env) killPart(name string) {
	e.t.Helper()
	old := e.part(name)
	if old == 0 {
		e.t.Fatalf("there is no %s", name)
	}
	e.must(syscall.Kill(old, syscall.SIGKILL))
	wait.Within(e.t, patient, name+" is back", func() bool { now := e.part(name); return now != 0 && now != old })
}

// cutPower ends every process of the cluster and takes away what lives in the kernel, mounts among it. The files are as
// they were. Then the cluster starts again.
func (e *env) cutPower() {
	e.t.Helper()
	l := e.node.Layout
	e.must(cleanup.KillAll(l, true))
	found, err := cleanup.Look(l, host.Ledger{})
	e.must(err)
	plan := cleanup.Make(l, found, host.Ledger{}, true)
	// Not the state folder, and no setting of the machine.
	e.must(cleanup.Do(cleanup.Plan{Unmount: plan.Unmount, DeleteLinks: plan.DeleteLinks, DeleteTable: plan.DeleteTable, RemoveTrees: plan.RemoveTrees}))
	e.onenode("up")
	wait.Within(e.t, patient, "the driver is back", func() bool { return e.driver() != 0 })
	e.driverKnown()
}
