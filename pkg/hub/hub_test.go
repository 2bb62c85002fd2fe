package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/notebook"
	"github.com/perijove/perijove/pkg/spawn"
	"github.com/perijove/perijove/pkg/spawn/kubecluster"
	"github.com/perijove/perijove/pkg/telemetry"
	"github.com/perijove/perijove/pkg/web"
)

const (
	ns    = "servers"
	token = "token-of-the-session"
)

// platform is a hub over a fake cluster, reached as the gateway would reach it.
type platform struct {
	t      *testing.T
	client *fake.Clientset
	origin string
	served atomic.Bool // what the gateway says about routes
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	p := &platform{t: t, client: fake.NewClientset()}
	p.served.Store(true)
	var uids atomic.Int64
	p.client.PrependReactor("create", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		pod := a.(clienttest.CreateAction).GetObject().(*corev1.Pod)
		pod.UID = types.UID(fmt.Sprintf("uid-%d", uids.Add(1)))
		pod.CreationTimestamp = metav1.Now()
		return false, nil, nil
	})
	reg := prometheus.NewRegistry()
	cluster, err := kubecluster.New(p.client, kubecluster.Config{
		Site:         spawn.Site{Namespace: ns, JupyterConfigMap: "perijove-jupyter"},
		Profile:      spawn.Profile{DisplayName: "Jupyter <Lab>", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1", CPULimit: 0.5, MemLimit: "1G"}},
		MasterKey:    bytes.Repeat([]byte("k"), 32),
		StartTimeout: time.Minute, SpawnLimit: 2,
	}, reg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	synced := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- cluster.Run(t.Context(), func() { close(synced) }) }()
	<-synced
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	h := &Hub{
		Cluster: cluster, Web: pages, Log: slog.New(slog.DiscardHandler), Done: t.Context().Done(),
		Served: func(ctx context.Context, _ notebook.ID, uid string) error {
			for !p.served.Load() || uid == "" {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(5 * time.Millisecond):
				}
			}
			return nil
		},
	}
	// The access log's wrapper is between the server and the streams, as in production.
	srv := httptest.NewServer(telemetry.HTTP(slog.New(slog.DiscardHandler), reg, "spawner", h.Handler()))
	t.Cleanup(srv.Close)
	p.origin = srv.URL
	return p
}

// request is one request of alice unless said otherwise.
type request struct {
	method, path string
	headers      []string // key, value, …; a value of "-" takes the header away
	form         url.Values
	body         string
}

func (p *platform) send(r request) *http.Response {
	p.t.Helper()
	body := r.body
	if r.form != nil {
		body = r.form.Encode()
	}
	req, err := http.NewRequestWithContext(p.t.Context(), r.method, p.origin+r.path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set(contract.HeaderUser, "alice")
	req.Header.Set(contract.HeaderXSRF, token)
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(r.headers); i += 2 {
		if r.headers[i+1] == "-" {
			req.Header.Del(r.headers[i])
			continue
		}
		req.Header.Add(r.headers[i], r.headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (p *platform) get(path string, headers ...string) (int, string, string) {
	p.t.Helper()
	return p.read(p.send(request{method: "GET", path: path, headers: headers}))
}

// post sends a form with the right token.
func (p *platform) post(path string, form url.Values, headers ...string) (int, string, string) {
	p.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set(contract.XSRFName, token)
	return p.read(p.send(request{method: "POST", path: path, form: form, headers: headers}))
}

// api calls the REST API with the right token.
func (p *platform) api(method, path, body string, headers ...string) (int, string, string) {
	p.t.Helper()
	h := append([]string{contract.XSRFHeader, token}, headers...)
	if body != "" {
		h = append(h, "Content-Type", "application/json")
	}
	return p.read(p.send(request{method: method, path: path, headers: h, body: body}))
}

func (p *platform) read(resp *http.Response) (int, string, string) {
	p.t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(body)
}

func (p *platform) status(pod string, change func(*corev1.Pod)) {
	p.t.Helper()
	have, err := p.client.CoreV1().Pods(ns).Get(p.t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	change(have)
	if _, err := p.client.CoreV1().Pods(ns).UpdateStatus(p.t.Context(), have, metav1.UpdateOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// answer makes a pod a running server.
func answer(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{
		spawn.Condition(pod, true), {Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
	}
}

func fail(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "<b>manifest unknown</b>"},
	}}}
}

// until asks again until the answer is as wanted: the cache follows the cluster.
func (p *platform) until(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("never happened: %s", what)
}

func (p *platform) pods() int {
	l, err := p.client.CoreV1().Pods(ns).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return len(l.Items)
}

// TestOneLife follows a server from the home page through start, progress and use to
// its stop, as a browser without script would.
func TestOneLife(t *testing.T) {
	p := newPlatform(t)
	if code, to, _ := p.get("/hub/"); code != 302 || to != "/hub/home" {
		t.Fatalf("/hub/: %d %s", code, to)
	}
	if code, _, body := p.get("/hub/home"); code != 200 || !strings.Contains(body, `action="/hub/spawn/alice"`) {
		t.Fatalf("home: %d %s", code, body)
	}
	escaped := "/user/alice/lab/tree/a%20b.ipynb"
	if code, to, _ := p.get("/hub" + escaped); code != 424 || to != "" {
		t.Fatalf("not running: %d %s", code, to)
	}
	code, _, body := p.get("/hub/spawn/alice?next=" + url.QueryEscape(escaped))
	if code != 200 || !strings.Contains(body, "Jupyter &lt;Lab&gt;") || !strings.Contains(body, escaped) {
		t.Fatalf("spawn form: %d %s", code, body)
	}
	if p.pods() != 0 {
		t.Fatal("S9: a GET started a server")
	}
	pendingPage := "/hub/spawn-pending/alice?next=" + url.QueryEscape(escaped)
	if code, to, body := p.post("/hub/spawn/alice", url.Values{"next": {escaped}}); code != 303 || to != pendingPage {
		t.Fatalf("start: %d %s %s", code, to, body)
	}
	if code, _, body := p.get(pendingPage); code != 200 || !strings.Contains(body, "/hub/api/users/alice/server/progress") {
		t.Fatalf("pending: %d %s", code, body)
	}
	if code, to, _ := p.get("/hub/user/alice/lab?reset"); code != 303 || !strings.HasPrefix(to, "/hub/spawn-pending/alice?next=") {
		t.Errorf("while pending: %d %s", code, to)
	}
	p.served.Store(false)
	p.status("jupyter-alice", answer)
	if code, _, body := p.get(pendingPage); code != 200 {
		t.Errorf("left for the server before its route is known: %d %s", code, body)
	}
	p.served.Store(true)
	p.until("redirect into the server", func() bool {
		code, to, _ := p.get(pendingPage)
		return code == 302 && to == escaped
	})
	if code, to, _ := p.get("/hub/"); code != 302 || to != "/user/alice/" {
		t.Errorf("/hub/ while running: %d %s", code, to)
	}
	if _, _, body := p.get("/hub/home"); !strings.Contains(body, `href="/user/alice/"`) || !strings.Contains(body, `action="/hub/stop/alice"`) {
		t.Errorf("home while running: %s", body)
	}
	if code, to, _ := p.post("/hub/stop/alice", nil); code != 303 || to != "/hub/home" || p.pods() != 0 {
		t.Errorf("stop: %d %s, %d pods", code, to, p.pods())
	}
	claims, err := p.client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 1 {
		t.Errorf("home volume after the stop: %v %v", claims.Items, err)
	}
}

// TestIdentity: nobody gets anywhere without the gateway's headers, nor with two of one.
func TestH1_IdentityComesFromTheHeadersOnly(t *testing.T) {
	p := newPlatform(t)
	for _, path := range []string{"/hub/", "/hub/home", "/hub/spawn", "/hub/spawn-pending/alice", "/hub/user-redirect/lab", "/hub/user/alice/", "/hub/api", "/hub/api/user", "/hub/api/users/alice/server/progress", "/hub/nothing"} {
		for name, headers := range map[string][]string{
			"none":      {contract.HeaderUser, "-"},
			"two":       {contract.HeaderUser, "bob"},
			"empty":     {contract.HeaderUser, "-", contract.HeaderUser, ""},
			"malformed": {contract.HeaderUser, "-", contract.HeaderUser, "%zz"},
			"no name":   {contract.HeaderUser, "-", contract.HeaderUser, ".."},
			"two admin": {contract.HeaderAdmin, "true", contract.HeaderAdmin, "false"},
		} {
			if code, _, body := p.get(path, headers...); code != 401 {
				t.Errorf("%s with %s: %d %.200s", path, name, code, body)
			}
		}
	}
	if code, _, body := p.get("/hub/api/user", contract.HeaderUser, "-"); code != 401 || !json.Valid([]byte(body)) || !strings.Contains(body, `"status":401`) {
		t.Errorf("JSON: %d %s", code, body)
	}
	if code, _, _ := p.get("/hub/home"); code != 200 {
		t.Errorf("negative control: with identity %d", code)
	}
}

// TestS9_XSRF: what changes something needs the session's token and must not be
// cross-origin; it is refused before anything is asked of the cluster.
func TestS9_StateChangesNeedTheToken(t *testing.T) {
	p := newPlatform(t)
	good := url.Values{contract.XSRFName: {token}}
	for name, r := range map[string]request{
		"no token":              {method: "POST", path: "/hub/spawn/alice", form: url.Values{}},
		"wrong token":           {method: "POST", path: "/hub/spawn/alice", form: url.Values{contract.XSRFName: {token + "x"}}},
		"token in the URL":      {method: "POST", path: "/hub/spawn/alice?_xsrf=" + token, form: url.Values{}},
		"session without token": {method: "POST", path: "/hub/spawn/alice", form: url.Values{contract.XSRFName: {""}}, headers: []string{contract.HeaderXSRF, "-"}},
		"cross-site":            {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Sec-Fetch-Site", "cross-site"}},
		"same-site":             {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Sec-Fetch-Site", "same-site"}},
		"foreign origin":        {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Origin", "http://evil.test"}},
		"null origin":           {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Origin", "null"}},
		"stop":                  {method: "POST", path: "/hub/stop/alice", form: url.Values{}},
		"REST start":            {method: "POST", path: "/hub/api/users/alice/server"},
		"REST stop":             {method: "DELETE", path: "/hub/api/users/alice/server"},
		"text/plain JSON":       {method: "POST", path: "/hub/api/users/alice/server", body: `{"_xsrf":"` + token + `"}`, headers: []string{"Content-Type", "text/plain"}},
	} {
		if code, _, body := p.read(p.send(r)); code != 403 {
			t.Errorf("%s: %d %.200s", name, code, body)
		}
	}
	for _, a := range p.client.Actions() {
		if a.GetVerb() == "create" || a.GetVerb() == "delete" {
			t.Errorf("the cluster was asked to %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
	if code, _, _ := p.post("/hub/spawn/alice", nil, "Sec-Fetch-Site", "same-origin"); code != 303 {
		t.Errorf("negative control: %d", code)
	}
}

// TestForeignServers: a visitor's own only, administrators everyone's; the answer does
// not depend on whether the other person exists.
func TestForeignServersAreRefused(t *testing.T) {
	p := newPlatform(t)
	bob := []string{contract.HeaderUser, "-", contract.HeaderUser, "bob"}
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	for _, owner := range []string{"alice", "nobody"} {
		for _, path := range []string{"/hub/spawn/", "/hub/spawn-pending/", "/hub/user/", "/hub/api/users/"} {
			if code, _, _ := p.get(path+owner, bob...); code != 403 {
				t.Errorf("GET %s%s: %d", path, owner, code)
			}
		}
		for _, path := range []string{"/hub/spawn/" + owner, "/hub/stop/" + owner, "/hub/stop/" + owner + "/demo"} {
			if code, _, _ := p.post(path, nil, bob...); code != 403 {
				t.Errorf("POST %s: %d", path, code)
			}
		}
		for _, method := range []string{"POST", "DELETE"} {
			if code, _, _ := p.api(method, "/hub/api/users/"+owner+"/server", "", bob...); code != 403 {
				t.Errorf("%s API of %s: %d", method, owner, code)
			}
		}
		if code, _, _ := p.get("/hub/api/users/"+owner+"/server/progress", bob...); code != 403 {
			t.Errorf("progress of %s: %d", owner, code)
		}
	}
	carol := []string{contract.HeaderUser, "-", contract.HeaderUser, "carol", contract.HeaderAdmin, "true"}
	if code, _, _ := p.api("DELETE", "/hub/api/users/alice/server", "", carol...); code != 204 {
		t.Errorf("an administrator's stop: %d", code)
	}
	fake := []string{contract.HeaderUser, "-", contract.HeaderUser, "bob", contract.HeaderAdmin, "yes"}
	if code, _, _ := p.api("DELETE", "/hub/api/users/alice/server", "", fake...); code != 403 {
		t.Errorf("admin header that is not true: %d", code)
	}
}

// TestRest goes through JupyterHub's calls and their answers.
func TestREST(t *testing.T) {
	p := newPlatform(t)
	if code, _, body := p.get("/hub/api/"); code != 200 || !strings.Contains(body, `"version"`) {
		t.Errorf("version: %d %s", code, body)
	}
	for body, want := range map[string]int{
		"[]": 400, `{"profile":"gpu"}`: 400, `{"profile":7}`: 400, `{"image":"evil"}`: 400, `{`: 400,
		`{"x":"` + strings.Repeat("a", maxBody) + `"}`: 413,
	} {
		if code, _, got := p.api("POST", "/hub/api/users/alice/server", body); code != want || !json.Valid([]byte(got)) {
			t.Errorf("K4: start with %.40s: %d %s", body, code, got)
		}
	}
	if code, _, _ := p.read(p.send(request{method: "POST", path: "/hub/api/users/alice/server", body: "{}", headers: []string{contract.XSRFHeader, token, "Content-Type", "text/plain"}})); code != 415 {
		t.Errorf("text/plain: %d", code)
	}
	if p.pods() != 0 {
		t.Fatal("a refused request started a server")
	}
	for range 2 {
		if code, _, body := p.api("POST", "/hub/api/users/alice/servers/demo", `{"profile":"lab"}`); code != 202 {
			t.Fatalf("start: %d %s", code, body)
		}
	}
	if code, _, body := p.get("/hub/api/user"); code != 200 || !strings.Contains(body, `"pending":"spawn","url":"/user/alice/demo/","progress_url":"/hub/api/users/alice/servers/demo/progress"`) {
		t.Errorf("user: %d %s", code, body)
	}
	p.status("jupyter-alice--demo", answer)
	p.until("already running", func() bool {
		code, _, _ := p.api("POST", "/hub/api/users/alice/servers/demo", "")
		return code == 400
	})
	if _, _, body := p.get("/hub/api/users/alice"); !strings.Contains(body, `"ready":true`) {
		t.Errorf("user: %s", body)
	}
	if code, to, _ := p.get("/hub/user/alice/demo/lab"); code != 302 || to != "/user/alice/demo/lab?redirects=1" {
		t.Errorf("named server below /hub/user: %d %s", code, to)
	}
	if code, _, _ := p.api("DELETE", "/hub/api/users/alice/servers/demo", ""); code != 204 {
		t.Errorf("stop: %d", code)
	}
	if code, _, _ := p.api("DELETE", "/hub/api/users/alice/servers/demo", ""); code != 204 {
		t.Errorf("stop again: %d", code)
	}
	for _, bad := range []string{"/hub/api/users/alice/servers/.x", "/hub/api/users/alice/servers/a%2Fb", "/hub/api/users/alice/servers/a%00"} {
		if code, _, body := p.api("POST", bad, ""); code != 400 {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
	if code, _, body := p.get("/hub/api/nothing"); code != 404 || !json.Valid([]byte(body)) {
		t.Errorf("unknown: %d %s", code, body)
	}
}

func TestD7_LimitSays429(t *testing.T) {
	p := newPlatform(t) // SpawnLimit is 2
	for _, s := range []string{"a", "b"} {
		if code, _, _ := p.api("POST", "/hub/api/users/alice/servers/"+s, ""); code != 202 {
			t.Fatal(code)
		}
	}
	resp := p.send(request{method: "POST", path: "/hub/api/users/alice/servers/c", headers: []string{contract.XSRFHeader, token}})
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("REST: %d %v", resp.StatusCode, resp.Header)
	}
	form := url.Values{contract.XSRFName: {token}}
	resp = p.send(request{method: "POST", path: "/hub/spawn/alice/c", form: form})
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `id="retry"`) {
		t.Errorf("page: %d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestOnePersonsServersAreLimited(t *testing.T) {
	p := newPlatform(t)
	for i := range maxServers {
		name := fmt.Sprintf("s%d", i)
		if code, _, body := p.api("POST", "/hub/api/users/alice/servers/"+name, ""); code != 202 {
			t.Fatalf("server %d: %d %s", i, code, body)
		}
		p.status("jupyter-alice--"+name, answer)
		p.until("running", func() bool {
			_, _, body := p.get("/hub/api/user")
			return strings.Count(body, `"ready":true`) == i+1
		})
	}
	if code, _, _ := p.api("POST", "/hub/api/users/alice/servers/more", ""); code != 400 {
		t.Errorf("one more: %d", code)
	}
}

// TestQuota: a start that the cluster refuses says so on the answer to the form, offers
// to try again, and escapes the cluster's words.
func TestQuotaIsShown(t *testing.T) {
	p := newPlatform(t)
	p.client.PrependReactor("create", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("exceeded quota: <script>"))
	})
	code, _, body := p.post("/hub/spawn/alice", url.Values{"next": {"/user/alice/lab"}})
	for _, want := range []string{"There is no room", `action="/hub/spawn/alice"`, `id="retry"`, `value="/user/alice/lab"`, "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: the page lacks %s\n%s", code, want, body)
		}
	}
	if code != 403 || strings.Contains(body, "<script>") {
		t.Errorf("%d %s", code, body)
	}
	if code, _, body := p.api("POST", "/hub/api/users/alice/server", "", "Accept-Language", "zh-CN"); code != 403 || !strings.Contains(body, "资源不足") {
		t.Errorf("REST: %d %s", code, body)
	}
}

func TestClusterAwayIs503(t *testing.T) {
	p := newPlatform(t)
	p.client.PrependReactor("get", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("the API is away")
	})
	for _, path := range []string{"/hub/home", "/hub/spawn", "/hub/spawn-pending/alice"} {
		if code, _, body := p.get(path); code != 503 || !strings.Contains(body, "Running servers go on working") {
			t.Errorf("%s: %d %.300s", path, code, body)
		}
	}
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 503 {
		t.Errorf("start: %d", code)
	}
}

// TestFailedPage: the reason, the details, the way to try again, no stream; trying again
// gets a new pod.
func TestFailedServerOffersToTryAgain(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.status("jupyter-alice", fail)
	var body string
	p.until("failed page", func() bool {
		_, _, body = p.get("/hub/spawn-pending/alice")
		return strings.Contains(body, "did not start")
	})
	for _, want := range []string{"example.org/lab:1", "&lt;b&gt;manifest unknown", `id="retry"`, "Your files are safe"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "data-progress") || strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("a failed page must not go on asking")
	}
	if code, to, _ := p.post("/hub/spawn/alice", nil); code != 303 || to != "/hub/spawn-pending/alice" {
		t.Errorf("try again: %d %s", code, to)
	}
	p.until("pending again", func() bool {
		_, _, body := p.get("/hub/spawn-pending/alice")
		return strings.Contains(body, "is starting")
	})
}

// TestLoopGuard: the hub sees a running server, the gateway has no route: the browser is
// sent back a few times at most.
func TestLoopGuard(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.status("jupyter-alice", answer)
	path := "/user/alice/lab?x=1"
	p.until("running", func() bool {
		code, to, _ := p.get("/hub" + path)
		return code == 302 && to == "/user/alice/lab?redirects=1&x=1"
	})
	for hop := range 10 {
		code, to, _ := p.get("/hub" + path)
		if code == 503 {
			if hop != maxRedirects {
				t.Errorf("gave up after %d redirects", hop)
			}
			break
		}
		if code != 302 || hop == 9 {
			t.Fatalf("hop %d: %d %s", hop, code, to)
		}
		path = to
	}
	p.served.Store(false)
	if code, _, _ := p.get("/hub/user/alice/lab"); code != 503 {
		t.Errorf("no route at all: %d", code)
	}
	if code, _, _ := p.post("/hub/user/alice/api/kernels", nil); code != 424 {
		t.Errorf("a POST to a missing route: %d", code)
	}
}

// TestU_Redirects: no next leads off the origin or into a server of someone else.
func TestU1_U3_NextStaysHome(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.status("jupyter-alice", answer)
	p.until("running", func() bool { code, _, _ := p.get("/hub/spawn-pending/alice"); return code == 302 })
	for _, next := range []string{
		"//e", "///e", `/\e`, "/%09/e", "/%5ce", "/ /e", "https:e", "https://hub.test.evil/", "javascript:alert(1)", "@e", "\t//e",
		"/user/bob/lab", "/user/alice/../bob/lab", "/user/alicex/", "/hub/logout", "/user/alice//e",
	} {
		if code, to, _ := p.get("/hub/spawn-pending/alice?next=" + url.QueryEscape(next)); code != 302 || to != "/user/alice/" {
			t.Errorf("next=%q leads to %d %s", next, code, to)
		}
		if _, to, _ := p.post("/hub/spawn/alice", url.Values{"next": {next}}); to != "/hub/spawn-pending/alice" {
			t.Errorf("next=%q is carried on to %s", next, to)
		}
	}
	for from, want := range map[string]string{
		"/hub/user-redirect/lab/tree/a%20b?x=1": "/user/alice/lab/tree/a%20b?x=1",
		"/hub/user-redirect/":                   "/user/alice/",
	} {
		if code, to, _ := p.get(from); code != 302 || to != want {
			t.Errorf("%s: %d %s", from, code, to)
		}
	}
	for _, bad := range []string{"/hub/user-redirect/%2e%2e/bob/", "/hub/user-redirect/a%5cb", "/hub/user-redirect/%2f%2fevil.test"} {
		if code, to, _ := p.get(bad); code != 400 {
			t.Errorf("%s: %d %s", bad, code, to)
		}
	}
}

// events reads a progress stream to its end.
func (p *platform) events(path string, headers ...string) <-chan progressEvent {
	p.t.Helper()
	resp := p.send(request{method: "GET", path: path, headers: headers})
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-cache" {
		p.t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan progressEvent)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			data, ok := strings.CutPrefix(s.Text(), "data: ")
			if !ok {
				continue
			}
			var e progressEvent
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				p.t.Error(err)
			}
			out <- e
		}
	}()
	return out
}

// TestProgressStream: what has happened, what happens, and "ready" only once the route
// is known everywhere.
func TestProgressStream(t *testing.T) {
	p := newPlatform(t)
	const path = "/hub/api/users/alice/server/progress"
	if code, _, body := p.get(path); code != 400 || !json.Valid([]byte(body)) {
		t.Errorf("not starting: %d %s", code, body)
	}
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.served.Store(false)
	stream := p.events(path, "Accept-Language", "zh-CN")
	if e := <-stream; e.Message != "已提交启动请求" || e.Progress != 5 || e.Ready || e.Failed {
		t.Errorf("first: %+v", e)
	}
	p.status("jupyter-alice", answer)
	if e := <-stream; e.Progress != 90 || e.Ready {
		t.Errorf("answering: %+v", e)
	}
	select {
	case e := <-stream:
		t.Errorf("before the route is known: %+v", e)
	case <-time.After(100 * time.Millisecond):
	}
	p.served.Store(true)
	if e := <-stream; !e.Ready || e.URL != "/user/alice/" || e.Progress != 100 {
		t.Errorf("ready: %+v", e)
	}
	if e, more := <-stream; more {
		t.Errorf("after ready: %+v", e)
	}
}

func TestProgressStreamOfAFailure(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	stream := p.events("/hub/api/users/alice/server/progress")
	<-stream
	p.status("jupyter-alice", fail)
	e := <-stream
	if !e.Failed || !strings.Contains(e.Message, "example.org/lab:1") || !strings.Contains(e.Message, "manifest unknown") {
		t.Errorf("failure: %+v", e)
	}
	if e, more := <-stream; more {
		t.Errorf("after the failure: %+v", e)
	}
}

func TestProgressStreamEndsWithTheServer(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	stream := p.events("/hub/api/users/alice/server/progress")
	<-stream
	if code, _, _ := p.post("/hub/stop/alice", nil); code != 303 {
		t.Fatal(code)
	}
	for e := range stream {
		if e.Ready || e.Failed {
			t.Errorf("after the stop: %+v", e)
		}
	}
}

// TestEveryMessageHasASentence: the ids that packages spawn and hub use exist in web.
func TestEveryMessageHasASentence(t *testing.T) {
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, m := range spawn.Messages() {
		ids = append(ids, string(m))
	}
	for _, err := range []error{errAnonymous, errForeign, errXSRF, errNotFound, errStuck, errNotRunning, badRequest{}, errors.New("x"), &spawn.Problem{Message: spawn.MsgQuota}} {
		ids = append(ids, explain(err).title, explain(err).text)
	}
	for _, id := range ids {
		for _, lang := range []string{"en", "zh"} {
			if pages.Text(lang, id, nil) == id {
				t.Errorf("no sentence for %s in %s", id, lang)
			}
		}
	}
}
