package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// kills is how many spawners killSpawner kills, and readers how many pages are read meanwhile.
const kills, readers = 2, 3

// TestR5_SpawnersDie: with two spawners one is taken away, politely and by SIGKILL, while alice reads
// pages and starts servers. Reading never fails, but for an answer that was half there. Starting fails
// only while a spawner is killed that has the request, says that one may try again, and then
// succeeds. Each server is there once.
func TestR5_SpawnersDie(t *testing.T) {
	alice := login(t, "alice")
	twoSpawners(t)
	endAll(t, "alice")
	alice.http.Transport = &http.Transport{MaxIdleConnsPerHost: 10}
	token := field(t, alice.page(contract.PathSpawn), contract.XSRFName)
	var names []string
	t.Cleanup(func() {
		for _, name := range names {
			_, _, _ = alice.rest(context.Background(), "DELETE", "/users/alice/servers/"+name, `{"remove": true}`, token)
		}
		endAll(t, "alice")
	})
	for _, end := range []struct {
		how   string
		fault func(*testing.T)
		may   bool // a start may have to be asked for again
	}{{"deleted", deleteSpawner, false}, {"killed", killSpawner, true}} {
		done := make(chan struct{})
		var reading sync.WaitGroup
		var broken atomic.Int64
		for _, path := range []string{contract.PathHome, contract.PathSpawn, contract.PathAPI + "/users/alice"} {
			reading.Go(func() {
				for read := 0; ; read++ {
					select {
					case <-done:
						t.Logf("%s: %s was read %d times", end.how, path, read)
						return
					default:
					}
					code, body, err := alice.read(t.Context(), path)
					if code >= http.StatusInternalServerError {
						t.Errorf("a spawner is %s: %s answers %d %.300s", end.how, path, code, body)
					}
					// Envoy cannot take back an answer whose beginning the browser has.
					if err != nil && (!end.may || broken.Add(1) > kills*readers) {
						t.Errorf("a spawner is %s: %s breaks off: %v", end.how, path, err)
					}
				}
			})
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			end.fault(t)
		}()
		again := 0
		for i := 0; i < 3 || !closed(gone); i++ {
			name := fmt.Sprint(end.how, i%3)
			if i < 3 {
				names = append(names, name)
			}
			again += alice.insist(t, name, token, end.may)
		}
		close(done)
		reading.Wait()
		t.Logf("%s: %d starts had to be asked for again", end.how, again)
	}
	wait.Within(t, 4*time.Minute, "all servers answer", func() bool { return alice.ready(t, names, token) })
	if n := len(crowdOf(t, "alice")); n != len(names) {
		t.Errorf("%d pods of %d servers", n, len(names))
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// insist starts a server, again when it was not reached and may not have been. It returns how often.
func (p *person) insist(t *testing.T, name, token string, may bool) (again int) {
	t.Helper()
	for ; ; again++ {
		code, headers, body := p.rest(t.Context(), "POST", "/users/"+p.name+"/servers/"+name, "", token)
		if code < http.StatusInternalServerError {
			// 400: it runs, or starts already, as JupyterHub says.
			if code != http.StatusCreated && code != http.StatusAccepted && code != http.StatusBadRequest {
				t.Errorf("start of %s: %d %s", name, code, body)
			}
			return again
		}
		if !may || again > 5 {
			t.Errorf("start of %s: %d %s", name, code, body)
			return again
		}
		if headers.Get("Retry-After") == "" {
			t.Errorf("start of %s: %d without Retry-After", name, code)
		}
		time.Sleep(time.Second) // as the answer says, at most
	}
}

// ready reports whether all named servers are.
func (p *person) ready(t *testing.T, names []string, token string) bool {
	t.Helper()
	_, _, body := p.rest(t.Context(), "GET", "/users/"+p.name, "", token)
	var user struct {
		Servers map[string]struct{ Ready bool }
	}
	if err := json.Unmarshal([]byte(body), &user); err != nil {
		return false
	}
	for _, name := range names {
		if !user.Servers[name].Ready {
			return false
		}
	}
	return true
}

// read reads a page, as far as it comes.
func (p *person) read(ctx context.Context, path string) (code int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL()+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

// rest sends what a script in the user's browser sends to the REST API.
func (p *person) rest(ctx context.Context, method, path, body, token string) (int, http.Header, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, baseURL()+contract.PathAPI+path, bytes.NewReader([]byte(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set(contract.XSRFHeader, token)
	req.Header.Set("Origin", baseURL())
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
		return 0, nil, ""
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// deleteSpawner deletes one of the spawners' pods and returns when there are two again.
func deleteSpawner(t *testing.T) {
	pods, err := cluster(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=spawner"})
	if err != nil || len(pods.Items) < 2 {
		t.Errorf("%d spawners, %v", len(pods.Items), err)
		return
	}
	name := pods.Items[0].Name
	if err := cluster(t).CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if !wait.Poll(time.Minute, func() bool {
		_, err := cluster(t).CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		ready, _ := spawnersState(t)
		return err != nil && ready == 2
	}) {
		t.Error("the spawner did not go and come back")
	}
}

// killSpawner kills the process of one spawner, twice, and returns when there are two again.
func killSpawner(t *testing.T) {
	for range kills {
		out, err := exec.Command("pgrep", "-x", "spawner").Output()
		pids := strings.Fields(string(out))
		if err != nil || len(pids) < 2 {
			t.Errorf("the spawners' processes are not on this machine: %v %s", err, out)
			return
		}
		_, before := spawnersState(t)
		if out, err := exec.Command("kill", "-9", pids[0]).CombinedOutput(); err != nil {
			t.Errorf("kill: %v %s", err, out)
		}
		if !wait.Poll(time.Minute, func() bool {
			ready, restarts := spawnersState(t)
			return ready == 2 && restarts > before
		}) {
			t.Error("the spawner did not come back")
		}
	}
}

// spawnersState counts the spawners that are ready, and how often they were started again.
func spawnersState(t *testing.T) (ready int, restarts int32) {
	pods, err := cluster(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=spawner"})
	if err != nil {
		return 0, 0
	}
	for _, pod := range pods.Items {
		for _, c := range pod.Status.ContainerStatuses {
			restarts += c.RestartCount
			if c.Ready && pod.DeletionTimestamp == nil {
				ready++
			}
		}
	}
	return ready, restarts
}
