package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	spawnerapp "github.com/perijove/perijove/cmd/spawner/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/wait"
)

// told is how long a person may wait until the page says what is wrong.
const told = 10 * time.Second

// ownSpawner is a spawner of the test on the real cluster, so that it can be
// misconfigured without harming anyone; its people are nobody else's.
type ownSpawner struct {
	t    *testing.T
	user string
	http *http.Client
	addr string
}

func newOwnSpawner(t *testing.T, user string, change func(*spawnerapp.Config)) *ownSpawner {
	t.Helper()
	client := cluster(t)
	dir := t.TempDir()
	files := secretFiles(t, dir, "perijove-spawner-tls")
	gateway := secretFiles(t, dir, "perijove-gateway-tls")
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), "perijove-server-key", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "server.key")
	if err := os.WriteFile(key, secret.Data["key"], 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := spawnerapp.Defaults()
	cfg.Listen, cfg.PrivateListen = ports.FreeAddr(t), ports.FreeAddr(t)
	cfg.PublicURL, cfg.TLS, cfg.Namespace, cfg.ServerKeyFile = baseURL(), files, servers, key
	issuer := secretFiles(t, dir, "perijove-servers-ca")
	cfg.ServersCA = spawnerapp.KeyPair{Cert: issuer.Cert, Key: issuer.Key}
	cfg.JupyterConfigMap = "perijove-jupyter"
	cfg.RouteStatus = []string{"127.0.0.1:1"} // never asked: these servers never answer
	cfg.ProfilesConfigMap = profilesConfigMap(t, user+"-usual", notebookImage(t))
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	conf, err := mtls.Client(gateway, contract.NameSpawner)
	if err != nil {
		t.Fatal(err)
	}
	s := &ownSpawner{t: t, user: user, addr: cfg.Listen, http: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: conf},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := spawnerapp.RunWith(ctx, cfg, client, telemetry.NewLogger(io.Discard, slog.LevelInfo)); err != nil {
			t.Errorf("the test's spawner ended: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	t.Cleanup(s.removeEverything)
	wait.Within(t, 20*time.Second, "the test's spawner listens", func() bool {
		c, err := tls.Dial("tcp", cfg.Listen, conf)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return s
}

func secretFiles(t *testing.T, dir, name string) mtls.Files {
	t.Helper()
	secret, err := cluster(t).CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := func(key string) string {
		p := filepath.Join(dir, name+"-"+key)
		if err := os.WriteFile(p, secret.Data[key], 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	return mtls.Files{Cert: path("tls.crt"), Key: path("tls.key"), CA: path("ca.crt")}
}

// removeEverything deletes the test user's pod and home volume: only a test may.
func (s *ownSpawner) removeEverything() {
	zero := int64(0)
	ctx := context.Background()
	client, err := run.KubeClient(os.Getenv("KUBECONFIG"), "perijove-e2e", 0)
	if err != nil {
		return
	}
	_ = client.CoreV1().Pods(servers).Delete(ctx, spawn.PodName(server.ID{User: s.user}), metav1.DeleteOptions{GracePeriodSeconds: &zero})
	_ = client.CoreV1().PersistentVolumeClaims(servers).Delete(ctx, spawn.HomeName(s.user), metav1.DeleteOptions{})
}

// as sends a request as Envoy does after authz has let the user in.
func (s *ownSpawner) as(method, path string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(contract.HeaderUser, s.user)
	req.Header.Set(contract.HeaderXSRF, "token")
	req.Header.Set(contract.XSRFHeader, "token")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Accept", "text/html")
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// failure starts a server and returns what the person is told, and after how long.
func (s *ownSpawner) failure() (message string, page string, took time.Duration) {
	s.t.Helper()
	start := time.Now()
	resp := s.as("POST", contract.PathSpawn)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode >= 400 { // refused at once, with the page that says why
		return string(body), string(body), time.Since(start)
	}
	resp = s.as("GET", contract.PathAPI+"/users/"+s.user+"/server/progress")
	defer func() { _ = resp.Body.Close() }()
	stream, err := io.ReadAll(resp.Body) // ends with the failure
	if err != nil {
		s.t.Fatal(err)
	}
	took = time.Since(start)
	var last map[string]any
	for line := range strings.Lines(string(stream)) {
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			last = map[string]any{}
			if err := json.Unmarshal([]byte(data), &last); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	if last["failed"] != true {
		s.t.Fatalf("the progress ends with %v", last)
	}
	pending := s.as("GET", contract.PathSpawnPending+"/"+s.user)
	defer func() { _ = pending.Body.Close() }()
	html, err := io.ReadAll(pending.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprint(last["message"]), string(html), took
}

func (s *ownSpawner) homeIsThere() {
	s.t.Helper()
	if _, err := cluster(s.t).CoreV1().PersistentVolumeClaims(servers).Get(s.t.Context(), spawn.HomeName(s.user), metav1.GetOptions{}); err != nil {
		s.t.Errorf("after the failure the home volume: %v", err)
	}
}

// TestFailedStartsSayWhy: each way to fail is named within ten seconds, with a way to
// try again, and no home volume is lost.
func TestFailedStartsSayWhy(t *testing.T) {
	for _, c := range []struct {
		name, user string
		change     func(t *testing.T, cfg *spawnerapp.Config)
		says       []string
	}{
		{"image missing", "e2e-noimage", func(t *testing.T, cfg *spawnerapp.Config) {
			cfg.ProfilesConfigMap = profilesConfigMap(t, "e2e-noimage-profiles", "localhost:1/no/such-image:1")
		}, []string{"image", "localhost:1/no/such-image:1"}},
		{"crash", "e2e-crash", func(t *testing.T, cfg *spawnerapp.Config) {
			cfg.JupyterConfigMap = brokenConfig(t)
		}, []string{"planted-crash-reason"}},
		{"quota", "e2e-quota", func(t *testing.T, _ *spawnerapp.Config) { fullQuota(t) }, []string{"quota"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newOwnSpawner(t, c.user, func(cfg *spawnerapp.Config) { c.change(t, cfg) })
			message, page, took := s.failure()
			t.Logf("told after %.1f s: %.300s", took.Seconds(), message)
			for _, want := range c.says {
				if !strings.Contains(strings.ToLower(message+page), want) {
					t.Errorf("nothing says %q:\n%s\n%s", want, message, page)
				}
			}
			if took > told {
				t.Errorf("told after %v, want %v at most", took, told)
			}
			if !strings.Contains(page, `id="retry"`) {
				t.Error("the page offers no way to try again")
			}
			s.homeIsThere()
		})
	}
}

// brokenConfig is an identity provider that ends Jupyter with a reason.
func brokenConfig(t *testing.T) string {
	t.Helper()
	return configMap(t, "e2e-broken", map[string]string{
		"jupyter_server_config.py":       "import os, sys\nsys.stderr.write('planted-crash-reason\\n')\nsys.stderr.flush()\nos._exit(3)\n",
		"default_setting_overrides.json": "{}",
		"notices.package.json":           "{}",
		"notices.remoteEntry.js":         "",
	})
}

// profilesConfigMap is a list of one profile with an image.
func profilesConfigMap(t *testing.T, name, image string) string {
	t.Helper()
	return configMap(t, name, map[string]string{profiles.Key: "base: {image: \"" + image + "\"}\nprofiles: [{display_name: Test}]\n"})
}

// configMap makes one beside the servers, until the test ends, and returns its name.
func configMap(t *testing.T, name string, data map[string]string) string {
	t.Helper()
	maps := cluster(t).CoreV1().ConfigMaps(servers)
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = maps.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	return name
}

// fullQuota allows no further pod in the namespace until the test ends.
func fullQuota(t *testing.T) {
	t.Helper()
	client := cluster(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-full"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	if _, err := client.CoreV1().ResourceQuotas(servers).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().ResourceQuotas(servers).Delete(context.Background(), quota.Name, metav1.DeleteOptions{})
	})
	wait.Within(t, 20*time.Second, "the quota is in force", func() bool {
		q, err := client.CoreV1().ResourceQuotas(servers).Get(t.Context(), quota.Name, metav1.GetOptions{})
		return err == nil && len(q.Status.Hard) > 0
	})
}
