//go:build onenode

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// kill ends one process of the node with SIGKILL and returns its pid.
func (n node) kill(part string) int {
	n.t.Helper()
	pid := n.pid(part)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		n.t.Fatalf("kill %s: %v", part, err)
	}
	return pid
}

// pid reads the third column of `onenode status`.
func (n node) pid(part string) int {
	n.t.Helper()
	out, _ := n.try("status") // it fails while another part is down, and lists all the same
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == part {
			pid, err := strconv.Atoi(fields[2])
			if err != nil {
				n.t.Fatalf("status: %q", line)
			}
			return pid
		}
	}
	n.t.Fatalf("status does not list %s:\n%s", part, out)
	return 0
}

func (n node) findKubectl() string {
	n.t.Helper()
	found, err := filepath.EvalSymlinks("/proc/" + strconv.Itoa(n.pid("kubelet")) + "/exe")
	if err != nil {
		n.t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(found), "kubectl")
}

func (n node) onenode(args ...string) string {
	n.t.Helper()
	started := time.Now()
	out, err := n.try(args...)
	if err != nil {
		n.t.Fatalf("onenode %v: %v\n%s", args, err, out)
	}
	if args[0] == "up" || args[0] == "down" {
		n.t.Logf("onenode %s: %.1f s", args[0], time.Since(started).Seconds())
	}
	return out
}

func (n node) try(args ...string) (string, error) {
	out, err := exec.Command(n.program, append([]string{"--state", testState}, args...)...).CombinedOutput()
	return string(out), err
}

func (n node) kubeCommand(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, n.kubectl, append([]string{"--kubeconfig", testState + "/kubeconfig", "--request-timeout=60s"}, args...)...)
}

func (n node) kube(args ...string) string {
	n.t.Helper()
	out, err := n.kubeCommand(n.t.Context(), args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (n node) apply(manifest string) {
	n.t.Helper()
	n.eventually("kubectl apply", func() error { // a namespace's default service account appears a moment after the API server
		cmd := n.kubeCommand(n.t.Context(), "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(manifest)
		out, err := cmd.CombinedOutput()
		return wrap(err, string(out))
	})
}

// exec runs /testpod in a pod.
func (n node) exec(pod string, args ...string) (string, error) {
	out, err := n.kubeCommand(n.t.Context(), append([]string{"exec", pod, "--", "/testpod"}, args...)...).Output()
	return string(out), err
}

func (n node) eventually(what string, check func() error) {
	n.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func answers(url, with string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !strings.Contains(string(body), with) {
		err = fmt.Errorf("%s answers %q, not %q", url, body, with)
	}
	return err
}

// says runs /testpod in a pod and expects a text in what it prints.
func (n node) says(with, pod string, args ...string) error {
	out, err := n.exec(pod, args...)
	if err == nil && !strings.Contains(out, with) {
		err = fmt.Errorf("it says %q, not %q", out, with)
	}
	return err
}

func wrap(err error, out string) error {
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && name != "curl" {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func goBuild(t *testing.T, program, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// pod is the manifest of a pod that serves on 8080. port adds to its container port, more to its container.
func pod(name, port, more string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  securityContext: {runAsUser: 1000, runAsNonRoot: true}
  volumes: [{name: home%[4]s}]
  containers:
  - name: main
    image: %[2]s
    imagePullPolicy: Never
    args: [serve, ":8080"]
    ports:
    - containerPort: 8080
      %[3]s
    %[5]s
`, name, testImage, port, volumeFor(more), more)
}

func volumeFor(more string) string {
	if strings.Contains(more, "/home") {
		return ", persistentVolumeClaim: {claimName: home}"
	}
	return ", emptyDir: {}"
}

const claim = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: home}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
`

// machine is everything outside the state folder that a node touches, each as a list that can be compared.
type machine map[string][]string

func lookAtMachine(t *testing.T) machine {
	t.Helper()
	lines := func(name string, args ...string) []string {
		return slices.Sorted(strings.Lines(command(t, name, args...)))
	}
	seen := machine{
		"mounts":     lines("findmnt", "--noheadings", "--list", "--output", "TARGET"),
		"interfaces": lines("ip", "-brief", "link"),
		"addresses":  lines("ip", "-brief", "address"),
		"routes":     lines("ip", "route", "show", "table", "all"),
		"namespaces": lines("ip", "netns"),
		"nftables":   lines("nft", "list", "ruleset"),
		"cgroups":    lines("find", layout.CgroupFS, "-type", "d"),
		// By name, since other programs of the machine come and go in these folders too.
		"files": lines("find", "/run", "/etc", "/opt", "/var/lib", "/var/log", "/usr/libexec", "-xdev", "-regextype", "egrep",
			"-iregex", ".*(containerd|cni|kube|onenode|perijove|runc|shim|/pods|/containers).*"),
		"kernel settings":   lines("sysctl", "net.ipv4.ip_forward", "net.bridge", "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "kernel.keys", "net.netfilter.nf_conntrack_max", "net.ipv4.conf.all", "net.ipv4.conf.default"),
		"state and volumes": lines("find", "/var/lib", "-maxdepth", "1", "-name", "perijove-onenode*"),
	}
	for _, pattern := range []string{"onenode", "kube", "etcd", "containerd", "coredns", "pause", "provisioner", "deviceplugin", "netpolicy", "testpod"} {
		found := exec.Command("pgrep", "--exact", "--list-full", pattern)
		out, _ := found.Output() // exits 1 if there is none
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "<defunct>") { // dead; the machine's process 1 is about to collect it
				seen["processes"] = append(seen["processes"], line)
			}
		}
	}
	return seen
}

func assertSame(t *testing.T, before, after machine) {
	t.Helper()
	for what := range before {
		for _, line := range after[what] {
			if !slices.Contains(before[what], line) {
				t.Errorf("down leaves a trace in %s: %s", what, line)
			}
		}
		for _, line := range before[what] {
			if !slices.Contains(after[what], line) {
				t.Errorf("down took away, in %s: %s", what, line)
			}
		}
	}
}
