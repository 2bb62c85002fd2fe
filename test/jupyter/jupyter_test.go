package jupyter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/internal/python"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/wait"
)

const requirements = "../../deploy/images/notebook/requirements.txt"

var secret = contract.ServerSecret(bytes.Repeat([]byte("k"), 32), "ns", "jupyter-alice", "n1")

// venv returns a folder with the notebook image's own packages, made once per version.
func venv(t *testing.T) string {
	t.Helper()
	list, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := python.Listed("jupyter", string(list)).Install()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// quick is the notebook image's own command, and plain that of other images.
var (
	quick = []string{"python3", "../../deploy/images/notebook/quick-lab"}
	plain = []string{"jupyter-lab"}
)

// command prepares JupyterLab as it runs in a pod of the notebook image, on a free port.
func command(t *testing.T, id server.ID, env ...string) (*exec.Cmd, *logs.Buffer, string) {
	t.Helper()
	return commandOf(t, quick, id, env...)
}

// commandOf is command with another program, and its arguments.
func commandOf(t *testing.T, program []string, id server.ID, env ...string) (*exec.Cmd, *logs.Buffer, string) {
	t.Helper()
	port := ports.Free(t)
	config, err := filepath.Abs("../../deploy/chart/files")
	if err != nil {
		t.Fatal(err)
	}
	dir := venv(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	args := slices.Clone(program[1:])
	if len(args) > 0 { // relative to this folder
		if args[0], err = filepath.Abs(args[0]); err != nil {
			t.Fatal(err)
		}
	}
	args = append(args, "--allow-root", fmt.Sprintf("--ServerApp.port=%d", port))
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "bin", program[0]), args...)
	home := t.TempDir()
	cmd.Dir = home
	cmd.Env = append([]string{
		"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin", "HOME=" + home, "JUPYTER_CONFIG_PATH=" + config,
		"PERIJOVE_BASE_URL=" + id.Prefix(), "PERIJOVE_USER=" + id.User,
	}, env...)
	out := &logs.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out, fmt.Sprintf("http://127.0.0.1:%d", port)
}

// start runs a server until the test ends and returns its origin once it answers.
func start(t *testing.T, id server.ID, env ...string) string {
	t.Helper()
	return startFor(t, http.DefaultClient, "http", id, env...)
}

// startFor is start of a server that answers client by scheme.
func startFor(t *testing.T, client *http.Client, scheme string, id server.ID, env ...string) string {
	t.Helper()
	cmd, out, origin := command(t, id, append([]string{"PERIJOVE_SERVER_SECRET=" + secret}, env...)...)
	origin = scheme + strings.TrimPrefix(origin, "http")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Not killed at once: its kernels would write on in a folder that is going away.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		if t.Failed() {
			t.Log(out)
		}
		if strings.Contains(out.String(), secret) || strings.Contains(out.String(), "?token=") {
			t.Error("the secret is in the server's log")
		}
	})
	if !wait.Poll(time.Minute, func() bool {
		resp, err := client.Get(origin + id.Prefix() + "api")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}) {
		t.Fatalf("the server does not answer:\n%s", out)
	}
	return origin
}

// ask sends a request and returns status and body. Redirects are not followed.
func ask(t *testing.T, method, url string, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func gateway(more ...string) map[string]string {
	h := map[string]string{
		contract.HeaderServerSecret: secret,
		contract.HeaderUser:         contract.EncodeHeader("张三@x.org"),
		contract.HeaderDisplayName:  contract.EncodeHeader("张 三"),
	}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestOnlyTheGatewayGetsIn(t *testing.T) {
	id := server.ID{User: "张三@x.org", Name: "my demo"}
	base := start(t, id) + id.Prefix()
	without := func(key string) map[string]string {
		h := gateway()
		delete(h, key)
		return h
	}
	for _, c := range []struct {
		name, method, path string
		headers            map[string]string
		want               int
	}{
		{"probe needs no secret", "GET", "api", nil, 200},
		{"straight at the port", "GET", "api/kernels", nil, 403},
		// Jupyter sends pages and files without identity to a login that does not exist.
		{"straight at a page", "GET", "lab", nil, 302},
		{"straight at a file", "GET", "files/x", nil, 302},
		{"wrong secret", "GET", "api/kernels", gateway(contract.HeaderServerSecret, strings.Repeat("x", len(secret))), 403},
		{"part of the secret", "GET", "api/kernels", gateway(contract.HeaderServerSecret, secret[:20]), 403},
		{"non-ASCII secret", "GET", "api/kernels", gateway(contract.HeaderServerSecret, "ü"), 403},
		{"identity alone", "GET", "api/kernels", without(contract.HeaderServerSecret), 403},
		{"secret alone", "GET", "api/kernels", without(contract.HeaderUser), 403},
		{"Jupyter's own token", "GET", "api/kernels", map[string]string{"Authorization": "token " + secret}, 403},
		{"through the gateway", "GET", "api/kernels", gateway(), 200},
		{"page through the gateway", "GET", "lab", gateway(), 200},
		{"no display name", "GET", "api/me", without(contract.HeaderDisplayName), 200},
		{"POST without _xsrf", "POST", "api/kernels", gateway(), 403},
		{"POST of a script with a token", "POST", "api/contents", gateway(contract.HeaderByToken, "true"), 201},
		{"a script that says so itself", "POST", "api/contents", map[string]string{contract.HeaderByToken: "true"}, 403},
		{"with the wrong secret", "POST", "api/contents", gateway(contract.HeaderByToken, "true", contract.HeaderServerSecret, strings.Repeat("x", len(secret))), 403},
		{"something else than true", "POST", "api/contents", gateway(contract.HeaderByToken, "false"), 403},
		{"POST with _xsrf", "POST", "api/sessions", gateway("Cookie", "_xsrf=2|a|b|1", "X-XSRFToken", "2|c|d|1"), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, body := ask(t, c.method, base+c.path, c.headers)
			if got != c.want {
				t.Errorf("%s %s: %d, want %d\n%.300s", c.method, c.path, got, c.want, body)
			}
		})
	}
	if _, me := ask(t, "GET", base+"api/me", gateway()); !strings.Contains(me, `"username": "\u5f20\u4e09@x.org"`) || !strings.Contains(me, `"name": "\u5f20 \u4e09"`) {
		t.Errorf("api/me does not know the visitor: %s", me)
	}
	_, page := ask(t, "GET", base+"lab", gateway())
	for _, want := range []string{`"hubPrefix": "/hub/"`, `"hubHost": ""`, `"token": ""`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page's configuration lacks %s", want)
		}
	}
	if strings.Contains(page, secret) {
		t.Error("the page holds the secret")
	}
}

// TestXSRFTokenIsAccepted is the control of "POST without _xsrf": with the right cookie
// and header the same request passes.
func TestXSRFTokenIsAccepted(t *testing.T) {
	id := server.ID{User: "alice"}
	base := start(t, id) + id.Prefix()
	req, err := http.NewRequest("GET", base+"lab", nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range gateway() {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if cookie.Name != "_xsrf" {
			continue
		}
		if cookie.Path != id.Prefix() {
			t.Errorf("_xsrf cookie has path %s", cookie.Path)
		}
		headers := gateway("Cookie", "_xsrf="+cookie.Value, "X-XSRFToken", cookie.Value)
		if got, body := ask(t, "POST", base+"api/contents", headers); got != http.StatusCreated {
			t.Errorf("POST with _xsrf: %d %.200s", got, body)
		}
		headers["Origin"] = "http://evil.test"
		if got, _ := ask(t, "POST", base+"api/contents", headers); got == http.StatusCreated {
			t.Error("a foreign Origin was accepted")
		}
		return
	}
	t.Fatal("no _xsrf cookie")
}

func TestRefusesToStartWithoutItsSecret(t *testing.T) {
	for name, env := range map[string][]string{
		"missing": nil,
		"empty":   {"PERIJOVE_SERVER_SECRET="},
		"short":   {"PERIJOVE_SERVER_SECRET=letmein"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, out, _ := command(t, server.ID{User: "alice"}, env...)
			err := cmd.Run()
			if err == nil || cmd.ProcessState.ExitCode() <= 0 {
				t.Fatalf("it ended with %v", err)
			}
			if !strings.Contains(out.String(), "PERIJOVE_SERVER_SECRET") {
				t.Errorf("it does not say why:\n%s", out)
			}
			if strings.Contains(out.String(), "letmein") {
				t.Error("it prints the secret")
			}
		})
	}
}

// writeFiles writes texts to files in dir, by path.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
