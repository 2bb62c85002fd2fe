package dataplane

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	authzapp "github.com/perijove/perijove/cmd/authz/app"
	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/slapd"
	"github.com/perijove/perijove/test/wait"
)

const namespace = "perijove"

// publicHost is the Host that the platform answers; publicAddr is where Envoy
// listens in the test's own network namespace.
const (
	publicAddr = "127.0.0.1:8000"
	publicHost = "hub.test:8000"
)

// env is the whole data path without a cluster.
type env struct {
	t       *testing.T
	dir     string
	ca      *pki.CA
	client  *fake.Clientset
	envoy   *envoyproc.Envoy
	gate    mtls.Files // the gateway's certificate
	spawn   mtls.Files // the spawner's
	servers *pki.CA    // issues pods' certificates

	ldap *slapd.Server

	trust *tls.Config // what people trust when the edge speaks TLS; nil = plain text
	// adjust and adjustAuthz change a configuration last; they may be nil.
	adjust      func(cfg *xdsapp.Config)
	adjustAuthz func(cfg *authzapp.Config)
	sessionIdle time.Duration // shorter than an installation may have it; 0 = the default

	proofs     bool   // whether servers that the spawner makes prove which pod they are
	userDomain string // where each person has a host; "" = all share one

	logs    map[string]*logs.Buffer
	secrets secrets // that nothing may tell

	stopXDS, stopAuthz, stopSpawner func()
	pods                            int
}

func newEnv(t *testing.T) *env { return newEnvWith(t, func(*env) {}) }

// newEnvWith lets change prepare what differs before anything starts.
func newEnvWith(t *testing.T, change func(*env)) *env {
	t.Helper()
	ca := pki.New(t)
	s := &env{
		t: t, dir: shortDir(t), ca: ca, servers: pki.New(t), client: fake.NewClientset(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "perijove-profiles"},
			Data:       map[string]string{profiles.Key: "base: {image: notebook:test}\nprofiles: [{display_name: Standard}]\n"},
		}), logs: map[string]*logs.Buffer{},
		gate:  ca.Issue(contract.NameGateway, time.Hour),
		spawn: ca.Issue(contract.NameSpawner, time.Hour),
	}
	s.client.PrependReactor("create", "*", stamp)
	writeFile(t, s.path("server.key"), bytes.Repeat([]byte("k"), 32))
	writeFile(t, s.path("servers-ca.crt"), s.servers.Pair().Chain)
	writeFile(t, s.path("servers-ca.key"), s.servers.Pair().Key)
	change(s)
	s.startXDS()
	s.startAuthz()
	s.startSpawner()
	s.envoy = envoyproc.Start(t, envoyproc.Options{Node: "envoy-1", XDSSock: s.path("xds.sock"), TLS: s.gate})
	t.Cleanup(s.sweep)
	s.envoy.Ready(t)
	for _, private := range []string{"127.0.0.1:9101", "127.0.0.1:9102", "127.0.0.1:9103"} {
		wait.Until(s.t, private+" says that its service is ready", func() bool { return ready(private) })
	}
	return s
}

// ready asks a service's private port.
func ready(private string) bool {
	resp, err := http.Get("http://" + private + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stamp gives a new object what a real API server gives it.
func stamp(action k8stesting.Action) (bool, runtime.Object, error) {
	object, err := meta.Accessor(action.(k8stesting.CreateAction).GetObject())
	if err != nil {
		return false, nil, err
	}
	if object.GetUID() == "" {
		object.SetUID(types.UID(strings.ToLower(rand.Text())))
	}
	object.SetCreationTimestamp(metav1.Now())
	return false, nil, nil
}

// shortDir keeps Unix socket paths below their limit of 107 bytes.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "dp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *env) path(name string) string { return filepath.Join(s.dir, name) }

func (s *env) xdsConfig() xdsapp.Config {
	cfg := xdsapp.Defaults()
	cfg.PublicURL, cfg.UserDomain = s.base(), s.userDomain
	cfg.Listen = xdsapp.Listen{XDS: "unix:" + s.path("xds.sock"), Status: "127.0.0.1:18001", Private: "127.0.0.1:9101"}
	cfg.TLS = s.gate
	cfg.Clients.Status = []string{contract.NameSpawner}
	cfg.Kubernetes.Namespaces = []string{namespace}
	cfg.Envoy.Address = "127.0.0.1"
	cfg.Upstreams = xdsapp.Upstreams{
		Authz: "unix:" + s.path("authz.sock"), Login: "unix:" + s.path("login.sock"), Hub: "127.0.0.1:8081",
	}
	cfg.ServerKeyFile = s.path("server.key")
	cfg.ServersCAFile = s.path("servers-ca.crt")
	if s.adjust != nil {
		s.adjust(&cfg)
	}
	return cfg
}

// base is the public URL.
func (s *env) base() string {
	if s.trust == nil {
		return "http://" + publicHost
	}
	return "https://" + publicHost
}

// startXDS runs the xds-server; stopXDS stops it as a kill would look to Envoy.
func (s *env) startXDS() {
	cfg := s.xdsConfig()
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	s.stopXDS = s.run("xds-server", func(ctx context.Context, log *slog.Logger) error {
		return xdsapp.RunWith(ctx, cfg, s.client, log)
	})
}

// run starts a service in the background and returns its stop. The service's log is
// shown when the test fails.
func (s *env) run(name string, f func(ctx context.Context, log *slog.Logger) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	buf := &logs.Buffer{}
	s.logs[name] = buf
	done := make(chan error, 1)
	go func() { done <- f(ctx, telemetry.NewLogger(buf, slog.LevelInfo)) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("%s ended: %v", name, err)
		}
		if s.t.Failed() {
			s.t.Logf("%s log:\n%s", name, buf.String())
		}
	}
	s.t.Cleanup(stop)
	return stop
}

// addPod makes a ready pod at the upstream's address.
func (s *env) addPod(name string, id server.ID, addr string, change ...func(*corev1.Pod)) {
	s.t.Helper()
	if _, err := s.client.CoreV1().Pods(namespace).Create(s.t.Context(), s.newPod(name, id, addr, change...), metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *env) newPod(name string, id server.ID, addr string, change ...func(*corev1.Pod)) *corev1.Pod {
	s.t.Helper()
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pods++
	labels, annotations := podmeta.Write(id)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(fmt.Sprintf("uid-%d", s.pods)),
			Labels: labels, Annotations: annotations, CreationTimestamp: metav1.Now(),
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: contract.PortName, ContainerPort: 8888}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func (s *env) deletePod(name string) {
	s.t.Helper()
	if err := s.client.CoreV1().Pods(namespace).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// routed waits until Envoy has (or no longer has) a route for the path: without one
// it answers an API request by itself with 424.
func (s *env) routed(path string, want bool) {
	s.t.Helper()
	wait.Until(s.t, fmt.Sprintf("route for %s = %v", path, want), func() bool {
		return (s.raw("GET", path).code != 424) == want
	})
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reply is what came back over a raw socket.
type reply struct {
	code   int
	header http.Header
	body   string
}

func (r reply) get(name string) string { return r.header.Get(name) }

// raw sends one HTTP/1.1 request exactly as written: path and headers are not
// cleaned as Go's client would clean them.
func (s *env) raw(method, path string, headers ...string) reply {
	s.t.Helper()
	return s.rawAt(publicAddr, method, path, headers...)
}

// rawAt is raw to another listener.
func (s *env) rawAt(addr, method, path string, headers ...string) reply {
	s.t.Helper()
	text := method + " " + path + " HTTP/1.1\r\n"
	if !hasHost(headers) {
		text += "Host: " + publicHost + "\r\n"
	}
	for _, h := range headers {
		text += h + "\r\n"
	}
	return s.rawBytesAt(addr, text+"\r\n")
}

func hasHost(headers []string) bool {
	for _, h := range headers {
		if strings.HasPrefix(strings.ToLower(h), "host:") {
			return true
		}
	}
	return false
}

// rawBytes sends bytes and reads one response; code 0 means that there was none.
func (s *env) rawBytes(text string) reply {
	s.t.Helper()
	return s.rawBytesAt(publicAddr, text)
}

func (s *env) rawBytesAt(addr, text string) reply {
	s.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(text)); err != nil {
		return reply{}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}
	}
	r := reply{code: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return r
	}
	body, _ := io.ReadAll(resp.Body)
	r.body = string(body)
	return r
}
