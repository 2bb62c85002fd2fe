package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestSpawnSpeed compares, in one run and in turns, our spawn with what Kubernetes
// alone needs for the same pod: from the click to the first byte of /user/bob/lab
// through Envoy, against from the pod's creation to the first byte of its own /lab.
func TestSpawnSpeed(t *testing.T) {
	if len(podCIDRReachable(t)) == 0 {
		t.Skip("pods cannot be reached from here: the bare pod's own time cannot be taken")
	}
	bob := login(t, "bob")
	bob.stop()
	bob.spawn()
	template := spawnedPod(t)
	bob.stop()
	var ours, bare []time.Duration
	for i := range 5 {
		bare = append(bare, barePod(t, template, fmt.Sprintf("e2e-bare-%d", i)))
		ours = append(ours, clickToLab(t, bob, url.Values{}))
		bob.stop()
	}
	a, b := median(ours), median(bare)
	t.Logf("warm spawn, median of %d: click → first byte of /user/bob/lab %.2f s; bare pod → its own /lab %.2f s; ratio %.2f",
		len(ours), a.Seconds(), b.Seconds(), a.Seconds()/b.Seconds())
	t.Logf("ours %v, bare %v", ours, bare)
	// The figure to reach is 1.2. A test on a shared machine fails only beyond doubt: when the
	// fastest spawn, which other work disturbed least, is too slow.
	if ratio := slices.Min(ours).Seconds() / slices.Min(bare).Seconds(); ratio > 1.6 {
		t.Errorf("the fastest spawn takes %.2f × the fastest bare pod's time", ratio)
	}
}

func podCIDRReachable(t *testing.T) string {
	t.Helper()
	pods, err := cluster(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=gateway"})
	if err != nil || len(pods.Items) == 0 {
		return ""
	}
	ip := pods.Items[0].Status.PodIP
	client := &http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + ip + ":8002/ready")
	if err != nil {
		return ""
	}
	_ = resp.Body.Close()
	return ip
}

func spawnedPod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := cluster(t).CoreV1().Pods(servers).Get(t.Context(), spawn.PodName(server.ID{User: "bob"}), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// clickToLab presses Start with what is chosen on the form, and opens the lab as soon as the progress says so.
func clickToLab(t *testing.T, p *person, form url.Values) time.Duration {
	t.Helper()
	form.Set(contract.XSRFName, field(t, p.page(contract.PathSpawn), contract.XSRFName))
	start := time.Now()
	resp := p.do("POST", contract.PathSpawn, form)
	_ = resp.Body.Close()
	events := p.follow()
	resp = p.do("GET", "/user/"+p.name+"/lab", nil)
	took := time.Since(start) // headers are here: the first byte
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Request.URL.Path != "/user/"+p.name+"/lab" {
		t.Fatalf("lab answers %s at %s after\n%s", resp.Status, resp.Request.URL, describe(events))
	}
	return took
}

// barePod makes the same pod without us: same image, same volume, no gate, no label.
func barePod(t *testing.T, like *corev1.Pod, name string) time.Duration {
	t.Helper()
	spec := like.Spec.DeepCopy()
	spec.NodeName, spec.ReadinessGates = "", nil
	withoutProof(spec)
	for i := range spec.Containers {
		for j := range spec.Containers[i].Env {
			if e := &spec.Containers[i].Env[j]; e.ValueFrom != nil {
				e.ValueFrom, e.Value = nil, "a-bare-pod-needs-some-secret-of-length"
			}
		}
	}
	client := cluster(t)
	zero := int64(0)
	defer func() {
		_ = client.CoreV1().Pods(servers).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
		waitGone(t, name)
	}()
	start := time.Now()
	if _, err := client.CoreV1().Pods(servers).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: servers}, Spec: *spec,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	watch, err := client.CoreV1().Pods(servers).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	ip := ""
	for e := range watch.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok && p.Status.PodIP != "" {
			ip = p.Status.PodIP
			break
		}
	}
	hc := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	wait.Within(t, 60*time.Second, "the bare pod answers", func() bool {
		resp, err := hc.Get("http://" + ip + ":8888/user/bob/api")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == 200
	})
	resp, err := hc.Get("http://" + ip + ":8888/user/bob/lab") // 302 to its login: still its first byte
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return time.Since(start)
}

// withoutProof takes a pod's certificate away: the bare pod has no secret of its own.
func withoutProof(spec *corev1.PodSpec) {
	const volume, variable = "proof", "PERIJOVE_PROOF"
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
	for i := range spec.Containers {
		c := &spec.Containers[i]
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
		c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == variable })
	}
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
