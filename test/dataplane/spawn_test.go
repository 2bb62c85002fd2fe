package dataplane

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/routestatus"
)

// kubelet stands for the node: it gives every new pod of ours an address and runs
// its container, which is an upstream of the test.
func (s *env) kubelet(ip string) {
	s.t.Helper()
	watch, err := s.client.CoreV1().Pods(namespace).Watch(context.Background(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(watch.Stop)
	go func() {
		for e := range watch.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok || pod.Status.PodIP != "" || len(pod.Spec.ReadinessGates) == 0 {
				continue
			}
			run := pod.DeepCopy()
			run.Status.Phase, run.Status.PodIP = corev1.PodRunning, ip
			run.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
			run.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: run.Spec.Containers[0].Name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
			}}
			_, _ = s.client.CoreV1().Pods(namespace).UpdateStatus(context.Background(), run, metav1.UpdateOptions{})
		}
	}()
}

// TestSpawn goes from the button to the first answer of the new server: the progress
// says ready only when Envoy has the route, so the redirect never loops.
func TestSpawn(t *testing.T) {
	s := newEnv(t)
	up := newUpstream(t, "10.99.0.1", "alice")
	s.kubelet("10.99.0.1")
	s.logRequests("127.0.0.1:9101") // the xds-server's private port
	s.logRequests("127.0.0.1:9103") // the spawner's
	alice := s.login("alice")

	page := alice.visit(contract.PathSpawn)
	m := xsrfField.FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("the spawn page has no form: %d\n%s", page.code, page.body)
	}
	start := time.Now()
	r := alice.send("POST", contract.PathSpawn, url.Values{contract.XSRFName: {m[1]}}, false)
	if r.code != http.StatusSeeOther && r.code != http.StatusFound || !strings.HasPrefix(r.get("Location"), contract.PathSpawnPending) {
		t.Fatalf("Start answers %d to %q:\n%s", r.code, r.get("Location"), r.body)
	}
	last := s.progress(alice, "/hub/api/users/alice/server/progress")
	if last["ready"] != true || last["url"] != "/user/alice/" {
		t.Fatalf("the progress ends with %v", last)
	}
	// No waiting here: ready means that Envoy routes.
	got := alice.visit("/user/alice/lab")
	if got.code != 200 || !strings.Contains(got.body, `"marker":"alice"`) {
		t.Fatalf("the first request after ready answers %d %s", got.code, got.body)
	}
	t.Logf("click → first answer without a kubelet's share: %d ms", time.Since(start).Milliseconds())
	for _, r := range up.requests() {
		if r.Path != "/user/alice/api" && r.Header.Get(contract.HeaderServerSecret) == "" {
			t.Errorf("%s reached the pod without the secret that shows it came through Envoy", r.Path)
		}
	}
	s.stopServer(alice)
	s.sameRequestIDEverywhere()
}

// logRequests has a service log requests that succeed, too.
func (s *env) logRequests(private string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+private+"/loglevel", strings.NewReader("debug"))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("change the level of the log: %s", resp.Status)
	}
}

// sameRequestIDEverywhere: the id that Envoy made for the progress stream is in the
// spawner's log and in that of the xds-server, which the spawner asked meanwhile.
func (s *env) sameRequestIDEverywhere() {
	s.t.Helper()
	asked := regexp.MustCompile(`"path":"`+routestatus.Path+`".*?"request_id":"([0-9a-f-]{36})"`).FindAllStringSubmatch(s.logs["xds-server"].String(), -1)
	if len(asked) == 0 {
		s.t.Fatal("the xds-server logged no question with a request id")
	}
	for _, m := range asked {
		if strings.Contains(s.logs["spawner"].String(), m[1]) {
			return
		}
	}
	s.t.Errorf("none of the ids %v is in the spawner's log", asked)
}

func (s *env) stopServer(p *person) {
	s.t.Helper()
	m := xsrfField.FindStringSubmatch(p.visit(contract.PathHome).body)
	if m == nil {
		s.t.Fatal("the home page has no stop button")
	}
	p.send("POST", "/hub/stop/alice", url.Values{contract.XSRFName: {m[1]}}, false)
	s.routed("/user/alice/api", false)
	claims, err := s.client.CoreV1().PersistentVolumeClaims(namespace).List(s.t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 1 {
		s.t.Errorf("after the stop there are %d home volumes (%v), want 1", len(claims.Items), err)
	}
}

// progress reads the stream to its end and returns the last event.
func (s *env) progress(p *person, path string) map[string]any {
	s.t.Helper()
	conn, err := net.Dial("tcp", publicAddr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	req := "GET " + path + " HTTP/1.1\r\nHost: " + publicHost + "\r\nAccept: text/event-stream\r\nCookie: " + p.cookies("/hub/") + "\r\n\r\n"
	if _, err := conn.Write([]byte(req)); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("progress stream: %v %v", resp, err)
	}
	var last map[string]any
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		last = map[string]any{}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			s.t.Fatalf("progress event %q: %v", data, err)
		}
		if last["ready"] == true || last["failed"] == true {
			break
		}
	}
	return last
}
