package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// Where the platform is, and where its users' servers are.
const (
	namespace = "perijove"
	servers   = "perijove-servers"
)

func baseURL() string {
	if u := os.Getenv("PERIJOVE_URL"); u != "" {
		return strings.TrimSuffix(u, "/")
	}
	return "http://localhost:8000"
}

func cluster(t *testing.T) kubernetes.Interface {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG is not set: run this through `make e2e`")
	}
	client, err := run.KubeClient(path, "perijove-e2e", 0)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// person is somebody with an HTTP client of their own.
type person struct {
	t    *testing.T
	name string
	http *http.Client
}

func newPerson(t *testing.T, name string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, name: name, http: &http.Client{Jar: jar, Timeout: 60 * time.Second}}
}

// login fills in the login form as a browser would.
func login(t *testing.T, name string) *person {
	t.Helper()
	p := newPerson(t, name)
	body := p.page("/hub/login")
	form := url.Values{"username": {name}, "password": {name + "-password"}, contract.XSRFName: {field(t, body, contract.XSRFName)}}
	resp := p.do("POST", "/hub/login", form)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || strings.HasSuffix(resp.Request.URL.Path, "/login") {
		t.Fatalf("login of %s ends at %s with %s", name, resp.Request.URL, resp.Status)
	}
	return p
}

var input = regexp.MustCompile(`<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"`)

// field reads a hidden field of a form.
func field(t *testing.T, html, name string) string {
	t.Helper()
	for _, m := range input.FindAllStringSubmatch(html, -1) {
		if m[1] == name {
			return m[2]
		}
	}
	t.Fatalf("the page has no field %s:\n%s", name, html)
	return ""
}

// do sends what a browser's own page sends: form or nothing, same origin.
func (p *person) do(method, path string, form url.Values) *http.Response {
	p.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, baseURL()+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	req.Header.Set("Origin", baseURL())
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

func (p *person) page(path string) string {
	p.t.Helper()
	resp := p.do("GET", path, nil)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// api sends what a script sends: no page wanted.
func (p *person) api(method, path string) (code int, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, baseURL()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	client := *p.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// spawn presses Start and follows the progress until the server can be opened.
func (p *person) spawn() {
	p.t.Helper()
	form := url.Values{contract.XSRFName: {field(p.t, p.page(contract.PathSpawn), contract.XSRFName)}}
	resp := p.do("POST", contract.PathSpawn, form)
	_ = resp.Body.Close()
	p.follow()
}

// progress is one event of JupyterHub's progress stream.
type progress struct {
	Progress int    `json:"progress"`
	Message  string `json:"message"`
	Ready    bool   `json:"ready"`
	Failed   bool   `json:"failed"`
	URL      string `json:"url"`
}

func (p *person) follow() []progress {
	p.t.Helper()
	resp := p.do("GET", contract.PathAPI+"/users/"+p.name+"/server/progress", nil)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("progress stream answers %s", resp.Status)
	}
	var all []progress
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("progress stream broke: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		data, ok := strings.CutPrefix(line, "data:")
		if !ok {
			continue
		}
		var e progress
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			p.t.Fatalf("progress event %q: %v", data, err)
		}
		all = append(all, e)
	}
	if len(all) == 0 || !all[len(all)-1].Ready {
		p.t.Fatalf("the server of %s did not become ready: %+v", p.name, all)
	}
	return all
}

// stop stops the default server and waits until its pod is gone.
func (p *person) stop() {
	p.t.Helper()
	form := url.Values{contract.XSRFName: {field(p.t, p.page(contract.PathHome)+p.page(contract.PathSpawn), contract.XSRFName)}}
	resp := p.do("POST", "/hub/stop/"+p.name, form)
	_ = resp.Body.Close()
	waitGone(p.t, spawn.PodName(server.ID{User: p.name}))
}

func waitGone(t *testing.T, pod string) {
	t.Helper()
	client := cluster(t)
	wait.Within(t, 30*time.Second, "pod "+pod+" is gone", func() bool {
		pods, err := client.CoreV1().Pods(servers).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + pod})
		return err == nil && len(pods.Items) == 0
	})
}

// inside runs kubectl in a namespace.
func inside(t *testing.T, space string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kubectl.Path(), append([]string{"--namespace", space}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// notebookImage is the image that servers are made from, present on the node.
func notebookImage(t *testing.T) string {
	t.Helper()
	image := strings.TrimSpace(inside(t, servers, "get", "configmap", "-l", "app.kubernetes.io/component=spawner",
		"-o", `jsonpath={range .items[*]}{.data.*}{end}`))
	m := regexp.MustCompile(`image:\s*"?([^\s"]+)`).FindStringSubmatch(image)
	if m == nil {
		t.Fatalf("the list of profiles names no image:\n%s", image)
	}
	return m[1]
}

// webPod makes a small web server as anybody would, without any label of ours.
func webPod(t *testing.T, name string) {
	t.Helper()
	no, yes, uid := false, true, int64(1000)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: servers},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{
				Name: "web", Image: notebookImage(t), ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"python3", "-m", "http.server", "8000", "--directory", "/etc"},
				Ports:   []corev1.ContainerPort{{ContainerPort: 8000}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, RunAsUser: &uid,
					Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
			}},
		},
	}
	client := cluster(t)
	if _, err := client.CoreV1().Pods(servers).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		zero := int64(0)
		_ = client.CoreV1().Pods(servers).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
	})
	wait.Within(t, 30*time.Second, "pod "+name+" is ready", func() bool {
		p, err := client.CoreV1().Pods(servers).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
}

func describe(events []progress) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%3d%% %s\n", e.Progress, e.Message)
	}
	return b.String()
}
