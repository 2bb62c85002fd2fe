package hub

import (
	"bytes"
	"context"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
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
	log    logs.Buffer
}

func newPlatform(t *testing.T) *platform { return newPlatformAt(t, origin.Site{}) }

// newPlatformAt is newPlatform for servers on the hosts that site says.
func newPlatformAt(t *testing.T, site origin.Site) *platform {
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
	cluster, err := kube.New(p.client, kube.Config{
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
		Cluster: cluster, Web: pages, Site: site, Log: slog.New(slog.NewTextHandler(&p.log, nil)), Done: t.Context().Done(),
		Served: func(ctx context.Context, _ server.ID, uid string) error {
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
	wait.Until(p.t, what, ok)
}

func (p *platform) pods() int {
	l, err := p.client.CoreV1().Pods(ns).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return len(l.Items)
}
