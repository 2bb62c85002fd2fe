package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/wait"
)

func status(t *testing.T, client *http.Client, url string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestService runs the spawner as a service: its ports, certificates, readiness and end.
// What it answers is tested in pkg/hub, what it creates in pkg/hub/spawn.
func TestService(t *testing.T) {
	ca := pki.New(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.Listen, cfg.PrivateListen = ports.FreeAddr(t), ports.FreeAddr(t)
	cfg.PublicURL, cfg.TLS = "http://hub.test", ca.Issue(contract.NameSpawner, time.Hour)
	cfg.Namespace, cfg.JupyterConfigMap, cfg.ServerKeyFile = "servers", "jupyter", key
	cfg.ServersCA = serversCA(t)
	cfg.RouteStatus = []string{"127.0.0.1:1"}
	cfg.ProfilesConfigMap = "profiles"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	// The first list of pods hangs, as it does while the API server is away.
	client, release := fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: "profiles"},
		Data:       map[string]string{profiles.Key: "base: {image: example.org/lab:1}\nprofiles: [{display_name: Lab}]\n"},
	}), make(chan struct{})
	client.PrependReactor("list", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		<-release
		return false, nil, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- RunWith(ctx, cfg, client, slog.New(slog.NewJSONHandler(&log, nil))) }()

	private, plain := "http://"+cfg.PrivateListen, http.DefaultClient
	wait.Until(t, "it lives", func() bool { return status(t, plain, private+"/healthz") == 200 })
	if got := status(t, plain, private+"/readyz"); got != 503 {
		t.Errorf("R4: ready before it has seen the cluster: %d", got)
	}
	close(release)
	wait.Until(t, "it is ready", func() bool { return status(t, plain, private+"/readyz") == 200 })
	if got := status(t, plain, private+"/metrics"); got != 200 {
		t.Errorf("metrics: %d", got)
	}

	home := "https://" + cfg.Listen + "/hub/home"
	as := func(files mtls.Files) *http.Client {
		conf, err := mtls.Client(files, contract.NameSpawner)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
	}
	gateway := as(ca.Issue(contract.NameGateway, time.Hour))
	wait.Until(t, "the gateway is answered", func() bool { return status(t, gateway, home, contract.HeaderUser, "alice") == 200 })
	if got := status(t, gateway, home); got != 401 {
		t.Errorf("without identity: %d", got)
	}
	foreign := pki.New(t).Issue(contract.NameGateway, time.Hour)
	foreign.CA = cfg.TLS.CA
	for name, client := range map[string]*http.Client{
		"another service's certificate": as(ca.Issue("perijove-other", time.Hour)),
		"its own certificate":           as(cfg.TLS),
		"another CA's certificate":      as(foreign),
		"an expired certificate":        as(ca.Issue(contract.NameGateway, -time.Hour)),
		"no certificate":                {Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	} {
		if got := status(t, client, home, contract.HeaderUser, "alice"); got != 0 {
			t.Errorf("%s was answered %d", name, got)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), strings.Repeat("k", 32)) {
		t.Error("S14: the key is in the log")
	}
}
