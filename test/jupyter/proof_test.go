package jupyter

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/pki"
)

const uid = "0b8fd1a6-54c5-4a4e-8f1c-6f2b7a0c9d3e"

// mount writes what the spawner puts into a pod's secret, and returns the folder.
func mount(t *testing.T, servers, services *pki.CA) string {
	t.Helper()
	pair := servers.Pair()
	ca, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ca.Issue(uid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tls.crt": mine.Certificate, "tls.key": mine.Key, "ca.crt": services.Pair().Chain} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// visitor shows a certificate and accepts that of the pod with the test's UID only, as Envoy does.
func visitor(t *testing.T, files mtls.Files, servers *pki.CA) *http.Client {
	t.Helper()
	name, err := contract.ProofName(uid)
	if err != nil {
		t.Fatal(err)
	}
	files.CA = servers.Issue("any", time.Hour).CA
	conf, err := mtls.Client(files, name)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// TestK8_JupyterProvesItself: a real JupyterLab serves the pod's certificate, answers clients
// of the platform only, and a kernel's websocket works over it.
func TestK8_JupyterProvesItself(t *testing.T) {
	servers, services := pki.New(t), pki.New(t)
	id := server.ID{User: "alice"}
	gate := visitor(t, services.Issue(contract.NameGateway, time.Hour), servers)
	base := startFor(t, gate, "https", id, "PERIJOVE_PROOF="+mount(t, servers, services)) + id.Prefix()

	for name, client := range map[string]*http.Client{
		"no certificate":           {Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
		"another CA's certificate": visitor(t, pki.New(t).Issue(contract.NameGateway, time.Hour), servers),
		"a pod's own certificate":  visitor(t, servers.Issue(contract.NameGateway, time.Hour), servers),
		"an expired certificate":   visitor(t, services.Issue(contract.NameGateway, -time.Hour), servers),
	} {
		if resp, err := client.Get(base + "api"); err == nil {
			t.Errorf("%s was answered %d", name, resp.StatusCode)
			_ = resp.Body.Close()
		}
	}
	if resp, err := http.Get("http" + strings.TrimPrefix(base, "https") + "api"); err == nil {
		t.Errorf("plain HTTP was answered %d", resp.StatusCode)
		_ = resp.Body.Close()
	}
	// The header's secret is asked for as before.
	if code, _ := send(t, gate, "GET", base+"api/kernels", nil); code != http.StatusForbidden {
		t.Errorf("without the secret: %d", code)
	}
	newKernel(t, gate, base).ask("kernel_info", map[string]any{}, nil)
}

// send is ask with another client.
func send(t *testing.T, client *http.Client, method, url string, headers map[string]string) (int, []byte) {
	t.Helper()
	resp, body := exchange(t, client, method, url, headers)
	return resp.StatusCode, body
}

// exchange is send with the whole answer, its body read.
func exchange(t *testing.T, client *http.Client, method, url string, headers map[string]string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, body.Bytes()
}
