package supervise

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/pki"
)

// writeCertificates makes a folder of certificates for 127.0.0.1 and returns it.
func writeCertificates(t *testing.T) string {
	t.Helper()
	files, err := pki.Make([]pki.Leaf{
		{Name: "server", CA: pki.CA, CN: "server", Hosts: []string{"127.0.0.1"}},
		{Name: "client", CA: pki.CA, CN: "client", Client: true},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := pki.Write(folder, files); err != nil {
		t.Fatal(err)
	}
	return folder
}

func serveTLS(t *testing.T, folder string, status int) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := TLSConfig(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: trusted.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestChecker(t *testing.T) {
	ours, theirs := writeCertificates(t), writeCertificates(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	good := serveTLS(t, ours, http.StatusOK)
	for name, test := range map[string]struct {
		probe parts.Probe
		fails string
	}{
		"good":                   {probe: parts.Probe{URL: good, Cert: "client"}},
		"no client certificate":  {probe: parts.Probe{URL: good}, fails: "certificate"},
		"not ready":              {probe: parts.Probe{URL: serveTLS(t, ours, http.StatusServiceUnavailable), Cert: "client"}, fails: "503"},
		"somebody else's server": {probe: parts.Probe{URL: serveTLS(t, theirs, http.StatusOK), Cert: "client"}, fails: "unknown authority"},
		"nobody":                 {probe: parts.Probe{URL: "https://" + closed.Addr().String(), Cert: "client"}, fails: "refused"},
		"command":                {probe: parts.Probe{Command: []string{"true"}}},
		"command fails":          {probe: parts.Probe{Command: []string{"sh", "-c", "echo why; exit 3"}}, fails: "why"},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewChecker(ours)(t.Context(), test.probe)
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("got %v, want %q", err, test.fails)
			}
		})
	}
}
