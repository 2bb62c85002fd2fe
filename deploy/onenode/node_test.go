//go:build onenode

// The node itself, on this machine: up, everything a platform needs from it, a kill -9, down without a trace, up again.
// Needs root, and that no other node runs. `go test -tags onenode -count=1 -timeout 30m .`
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/cleanup"
	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/images"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

const (
	testState = "/var/lib/perijove-onenode-test"
	testImage = "perijove.dev/onenode/testpod:1"
	hostPort  = 18088
)

type node struct {
	t       *testing.T
	program string
	kubectl string
}

func TestNode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root: the test starts a real node")
	}
	if _, err := os.Stat(filepath.Join(layout.DefaultState, "onenode.sock")); err == nil {
		t.Fatalf("a node is up in %s and there can be only one: `onenode down` first", layout.DefaultState)
	}
	folder := t.TempDir()
	n := node{t: t, program: filepath.Join(folder, "onenode")}
	goBuild(t, n.program, ".")
	n.onenode("down") // of an earlier run that was interrupted
	before := lookAtMachine(t)
	t.Cleanup(func() { n.onenode("down") })
	n.onenode("up")
	n.kubectl = n.findKubectl()
	if out := n.onenode("up"); !strings.Contains(out, "already up") {
		t.Errorf("second up did work: %s", out)
	}
	n.loadTestImage(folder)

	t.Run("pod", n.testPod)
	t.Run("dns and services", n.testServices)
	t.Run("hostPort", n.testHostPort)
	t.Run("guard of the machine's loopback", n.testLoopbackGuard)
	t.Run("network policies", n.testPolicies)
	t.Run("memory limit", n.testMemoryLimit)
	t.Run("volume", n.testVolume)
	t.Run("kubelet refuses strangers", n.testKubeletAuth)
	t.Run("a second node", func(t *testing.T) { n.testSecondNode(t, filepath.Join(folder, testArchive)) })
	t.Run("kill one part", n.testKillParts)
	t.Run("kill the supervisor", n.testKillSupervisor)
	t.Run("power cut", n.testPowerCut)
	t.Run("the second node goes", n.testNodeGoes)

	n.onenode("--nodes", "2", "up")
	// Half dead is the hardest state to clean: no supervisor, no containerd to ask, pods alive.
	containerd := n.pid("containerd")
	n.kill("onenode")
	if err := syscall.Kill(containerd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.onenode("down")
	assertSame(t, before, lookAtMachine(t))
	n.onenode("up")
	if out := n.onenode("nodes"); out != "onenode 10.245.0.1\n" {
		t.Errorf("down does not forget how many nodes there were: %s", out)
	}
	n.onenode("down")
	assertSame(t, before, lookAtMachine(t))
}

const testArchive = "testpod.tar"

func (n node) loadTestImage(folder string) {
	n.t.Helper()
	program, archive := filepath.Join(folder, "testpod"), filepath.Join(folder, testArchive)
	goBuild(n.t, program, "./test/testpod")
	image := images.Single{Ref: testImage, Program: program, User: "1000:1000"}
	if err := image.Write(archive); err != nil {
		n.t.Fatal(err)
	}
	if out := n.onenode("load", archive); !strings.Contains(out, "loaded "+testImage) {
		n.t.Errorf("load: %s", out)
	}
	if out := n.onenode("load", archive); !strings.Contains(out, "already there") {
		n.t.Errorf("second load: %s", out)
	}
}

func (n node) testPod(t *testing.T) {
	n.t = t
	started := time.Now()
	n.apply(pod("web", "", ""))
	n.eventually("pod web answers", func() error {
		ip := n.kube("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
		return answers("http://"+ip+":8080/", "testpod web")
	})
	t.Logf("a bare pod answered %.2f s after kubectl apply began", time.Since(started).Seconds())
	n.kube("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
	if out := n.kube("logs", "web"); !strings.Contains(out, "testpod serves on :8080") {
		t.Errorf("logs: %q", out)
	}
	if out := n.kube("exec", "web", "--", "/testpod", "get", "http://127.0.0.1:8080/"); !strings.Contains(out, "testpod web") {
		t.Errorf("exec: %q", out)
	}
	n.testPortForward("web")
}

func (n node) testPortForward(pod string) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	defer cancel()
	forward := n.kubeCommand(ctx, "port-forward", "pod/"+pod, "18089:8080")
	var out bytes.Buffer
	forward.Stdout, forward.Stderr = &out, &out
	if err := forward.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.eventually("port-forward answers", func() error { return answers("http://127.0.0.1:18089/", "testpod "+pod) })
	cancel()
	_ = forward.Wait() // it was killed
}

func (n node) testServices(t *testing.T) {
	n.t = t
	n.kube("expose", "pod", "web", "--name=web-service", "--port=80", "--target-port=8080")
	n.eventually("the Service answers by its name", func() error {
		return n.says("testpod web", "web", "get", "http://web-service.default.svc.cluster.local/")
	})
	if out, err := n.exec("web", "lookup", "kubernetes.default"); err != nil || !strings.Contains(out, layout.ServiceIP) {
		t.Errorf("lookup kubernetes.default: %q %v", out, err)
	}
	if out, err := n.exec("web", "lookup", "no-such-service.default"); err == nil {
		t.Errorf("a name that does not exist resolves: %q", out)
	}
	address := n.kube("get", "service", "web-service", "-o", "jsonpath={.spec.clusterIP}")
	if err := answers("http://"+address+"/", "testpod web"); err != nil {
		t.Errorf("ClusterIP from the machine: %v", err)
	}
}

func (n node) testHostPort(t *testing.T) {
	n.t = t
	n.apply(pod("gateway", fmt.Sprintf("hostPort: %d", hostPort), ""))
	n.kube("wait", "--for=condition=Ready", "pod/gateway", "--timeout=30s")
	for _, host := range []string{"localhost", "127.0.0.1", layout.NodeIP} {
		url := fmt.Sprintf("http://%s:%d/", host, hostPort)
		n.eventually(url, func() error { return answers(url, "testpod gateway") })
	}
	n.kube("delete", "pod", "gateway", "--grace-period=0", "--force")
	n.eventually("the host port is free again", func() error {
		if err := answers(fmt.Sprintf("http://127.0.0.1:%d/", hostPort), ""); err == nil {
			return fmt.Errorf("still answers")
		}
		return nil
	})
}

func (n node) testLoopbackGuard(t *testing.T) {
	n.t = t
	n.guard(layout.Layout{State: testState}.Node(1), layout.PortKubeletLive)
}

func (n node) testMemoryLimit(t *testing.T) {
	n.t = t
	n.apply(pod("small", "", `resources: {limits: {memory: 32Mi}}`))
	n.kube("wait", "--for=condition=Ready", "pod/small", "--timeout=30s")
	if out, err := n.exec("small", "eat", "8"); err != nil {
		t.Errorf("8 MiB of 32 should fit: %q %v", out, err)
	}
	if out, err := n.exec("small", "eat", "128"); err == nil {
		t.Errorf("128 MiB fit into a limit of 32: %q", out)
	}
}

func (n node) testVolume(t *testing.T) {
	n.t = t
	n.apply(claim)
	n.apply(pod("writer", "", "volumeMounts: [{name: home, mountPath: /home}]"))
	n.kube("wait", "--for=condition=Ready", "pod/writer", "--timeout=30s")
	if out, err := n.exec("writer", "write", "/home/note"); err != nil {
		t.Fatalf("write as uid 1000: %q %v", out, err)
	}
	n.kube("delete", "pod", "writer", "--now")
	n.apply(pod("writer", "", "volumeMounts: [{name: home, mountPath: /home}]"))
	n.kube("wait", "--for=condition=Ready", "pod/writer", "--timeout=30s")
	if out, _ := n.exec("writer", "read", "/home/note"); out != "written by uid 1000\n" {
		t.Errorf("the file after the pod's end: %q", out)
	}
	volume := n.kube("get", "pvc", "home", "-o", "jsonpath={.spec.volumeName}")
	folder := filepath.Join(testState, "volumes", volume)
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o770 {
		t.Errorf("volume folder: %v %v", info, err)
	}
	n.kube("delete", "pod", "writer", "--now")
	n.kube("delete", "pvc", "home")
	n.eventually("the folder goes with the claim", func() error {
		if _, err := os.Stat(folder); err == nil {
			return fmt.Errorf("%s is there", folder)
		}
		return nil
	})
}

func (n node) testKubeletAuth(t *testing.T) {
	ca := filepath.Join(testState, "pki", "ca.crt")
	url := fmt.Sprintf("https://%s:%d/pods", layout.NodeIP, layout.PortKubelet)
	for name, args := range map[string][]string{
		"without a certificate":            nil,
		"with a certificate of a stranger": {"--cert", testState + "/pki/provisioner.crt", "--key", testState + "/pki/provisioner.key"},
	} {
		args := append([]string{"-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, url}, args...)
		if code := command(t, "curl", args...); code != "401" && code != "403" {
			t.Errorf("%s: the kubelet answers %s", name, code)
		}
	}
	control := command(t, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, "--cert", testState+"/pki/apiserver-kubelet.crt", "--key", testState+"/pki/apiserver-kubelet.key", url)
	if control != "200" {
		t.Errorf("the API server's certificate: the kubelet answers %s", control)
	}
}

func (n node) testKillParts(t *testing.T) {
	n.t = t
	for _, part := range []string{
		"kubelet", "containerd", "etcd", "kube-apiserver", "kube-proxy", "kube-scheduler", "kube-controller-manager", "provisioner", "deviceplugin", "netpolicy",
		"kubelet-2", "containerd-2", "kube-proxy-2", "deviceplugin-2", "netpolicy-2",
	} {
		old := n.kill(part)
		n.eventually(part+" is back", func() error {
			out, err := n.try("status")
			if err == nil && n.pid(part) == old {
				return fmt.Errorf("still the old process")
			}
			return wrap(err, out)
		})
	}
	n.eventually("a new pod starts after it", func() error {
		n.apply(pod("after", "", ""))
		return n.says("testpod after", "after", "get", "http://127.0.0.1:8080/")
	})
	n.eventually("a new pod starts on the second node after it", func() error {
		n.apply(onSecond(pod("after-2", "", "")))
		return n.says("testpod web", "after-2", "get", "http://web-service/")
	})
	n.eventually("both nodes have their devices", n.devices)
}

// After a power cut every process is gone, and so is all that lives in the kernel; the state folder is as it was.
func (n node) testPowerCut(t *testing.T) {
	n.t = t
	l := layout.Layout{State: testState}
	if err := cleanup.KillAll(l, true); err != nil {
		t.Fatal(err)
	}
	found, err := cleanup.Look(l, host.Ledger{})
	if err != nil {
		t.Fatal(err)
	}
	plan := cleanup.Make(l, found, host.Ledger{}, true)
	if err := cleanup.Do(cleanup.Plan{Unmount: plan.Unmount, DeleteLinks: plan.DeleteLinks, DeleteTable: plan.DeleteTable, RemoveTrees: plan.RemoveTrees}); err != nil {
		t.Fatal(err)
	}
	n.onenode("up")
	n.eventually("the pod is started anew", func() error { return n.says("testpod web", "web", "get", "http://web-service/") })
	n.eventually("the one on the second node too", func() error { return n.says("testpod web", "far", "get", "http://web-service/") })
}

func (n node) testKillSupervisor(t *testing.T) {
	n.t = t
	restarts := n.kube("get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	n.kill("onenode")
	if _, err := n.try("status"); err == nil {
		t.Error("status says that all is well without a supervisor")
	}
	n.onenode("up")
	n.onenode("status")
	if now := n.kube("get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].containerID}"); now != restarts {
		t.Errorf("the pod was started anew: %s, was %s", now, restarts)
	}
	// The kubelet takes a moment to know its pods again; until then it refuses exec.
	n.eventually("the pod answers", func() error { return n.says("testpod web", "web", "get", "http://127.0.0.1:8080/") })
}
