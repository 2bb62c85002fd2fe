package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/perijove/perijove/pkg/contract"
	programs "github.com/perijove/perijove/test/internal/python"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

var tokenText = regexp.MustCompile(`hub_[A-Za-z0-9_-]{43}`)

// script is a program that has an API token and nothing else.
type script struct {
	t     *testing.T
	token string
}

// script makes a token on the page for it.
func (p *person) script(scopes ...string) script {
	p.t.Helper()
	form := url.Values{contract.XSRFName: {field(p.t, p.page(contract.PathToken), contract.XSRFName)}, "days": {"1"}, "note": {"e2e"}, "scope": scopes}
	resp := p.do("POST", contract.PathToken, form)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	token := tokenText.FindString(string(body))
	if err != nil || token == "" {
		p.t.Fatalf("making a token answers %s, %v", resp.Status, err)
	}
	return script{p.t, token}
}

// call sends a request, and reads the whole answer: of an event stream until it ends.
func (s script) call(method, path, body string) (code int, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, baseURL()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(all)
}

// TestScriptWithAToken starts a server, follows its progress, uses it and stops it, as JupyterHub's
// documentation shows it.
func TestScriptWithAToken(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	s := alice.script("servers!user", "access:servers!user")
	const server = contract.PathAPI + "/users/alice/server"
	if code, body := s.call("POST", server, "{}"); code != http.StatusAccepted {
		t.Fatalf("the start answers %d %s", code, body)
	}
	defer alice.stop()
	if _, events := s.call("GET", server+"/progress", ""); !strings.Contains(events, `"ready":true`) || !strings.Contains(events, `"url":"/user/alice/"`) {
		t.Fatalf("the progress is\n%s", events)
	}
	if code, body := s.call("POST", server, ""); code != http.StatusBadRequest || !strings.Contains(body, "already running") {
		t.Errorf("a second start answers %d %s", code, body)
	}
	if code, body := s.call("GET", "/user/alice/api/status", ""); code != http.StatusOK || !strings.Contains(body, `"kernels"`) {
		t.Errorf("the server answers %d %s", code, body)
	}
	if code, body := s.call("GET", server, ""); code != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("the server's model is %d %s", code, body)
	}
	if code, _ := s.call("GET", contract.PathAPI+"/users", ""); code != http.StatusForbidden {
		t.Errorf("negative control: a token without the scope lists users: %d", code)
	}
	code, body := s.call("DELETE", server, "")
	if code != http.StatusNoContent && code != http.StatusAccepted {
		t.Fatalf("the stop answers %d %s", code, body)
	}
	wait.Within(t, time.Minute, "the server is gone", func() bool {
		code, _ := s.call("GET", "/user/alice/api/status", "")
		return code == http.StatusFailedDependency
	})
}

// TestIdleCuller runs jupyterhub-idle-culler as it is, with an administrator's token of the scopes that
// its documentation names: it stops alice's server, which nobody uses, and leaves bob's, whose kernel
// works without a word.
func TestIdleCuller(t *testing.T) {
	const timeout = 100 * time.Second
	dir, err := programs.IdleCuller().Install()
	if err != nil {
		t.Fatal(err)
	}
	alice, bob, carol := login(t, "alice"), login(t, "bob"), login(t, "carol")
	// With a limit of its own the platform asks a server every minute.
	moreProfiles(t, bob, "e2e-culled", "  - display_name: E2E culled\n    slug: e2e-culled\n    cull: { idle: 3h }\n")
	for _, p := range []*person{bob, alice} {
		p.stop()
		p.choose("e2e-culled")
		p.follow()
		defer p.stop()
	}
	began := time.Now()
	bob.script("access:servers!user").works()

	culler := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "python"), "-m", "jupyterhub_idle_culler",
		"--url="+baseURL()+contract.PathAPI, "--timeout="+seconds(timeout), "--cull-every=5", "--api-page-size=2")
	culler.Env = append(os.Environ(), "JUPYTERHUB_API_TOKEN="+carol.script("list:users", "read:users:activity", "read:servers", "delete:servers").token)
	log := &logs.Buffer{}
	culler.Stdout, culler.Stderr = log, log
	if err := culler.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- culler.Wait() }()
	defer func() {
		_ = culler.Process.Kill()
		if t.Failed() {
			t.Logf("the culler says\n%s", log.String())
		}
	}()
	wait.Within(t, 4*time.Minute, "alice's server is stopped", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the culler ended: %v", err)
		default:
		}
		return !alice.model().Ready
	})
	if !strings.Contains(log.String(), "Culling server alice ") {
		t.Error("it was not the culler")
	}
	if age := time.Since(began); age < timeout {
		t.Errorf("it was stopped after %v", age)
	}
	if !bob.model().Ready || strings.Contains(log.String(), "Culling server bob ") {
		t.Error("a server whose kernel works is stopped, too")
	}
	_, body := bob.api("GET", contract.PathAPI+"/users/bob/server")
	var model struct {
		LastActivity time.Time `json:"last_activity"`
	}
	if err := json.Unmarshal([]byte(body), &model); err != nil || time.Since(model.LastActivity) > time.Minute {
		t.Errorf("bob's server was last in use at %v: %v", model.LastActivity, err)
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// works lets bob's server work on something that says nothing.
func (s script) works() {
	s.t.Helper()
	code, body := s.call("POST", "/user/bob/api/kernels", `{"name":"python3"}`)
	var kernel struct{ ID string }
	if err := json.Unmarshal([]byte(body), &kernel); code != http.StatusCreated || err != nil {
		s.t.Fatalf("a kernel: %d %s, %v", code, body, err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(baseURL(), "http", "ws", 1)+"/user/bob/api/kernels/"+kernel.ID+"/channels",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"token " + s.token}}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	ask := map[string]any{
		"header":        map[string]string{"msg_id": "e2e", "msg_type": "execute_request", "username": "bob", "session": "e2e", "version": "5.3", "date": time.Now().UTC().Format(time.RFC3339)},
		"parent_header": map[string]string{}, "metadata": map[string]string{}, "buffers": []string{}, "channel": "shell",
		"content": map[string]any{"code": "import time; time.sleep(900)", "silent": false, "store_history": false, "user_expressions": map[string]string{}, "allow_stdin": false, "stop_on_error": true},
	}
	if err := wsjson.Write(ctx, conn, ask); err != nil {
		s.t.Fatal(err)
	}
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			s.t.Fatalf("the kernel does not say that it works: %v", err)
		}
		if bytes.Contains(data, []byte(`"execute_input"`)) {
			return
		}
	}
}
