package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/pki"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func leaves() []pki.Leaf {
	return []pki.Leaf{
		{Name: "server", CA: pki.CA, CN: "server", Hosts: []string{"localhost", "10.0.0.1"}},
		{Name: "client", CA: pki.CA, CN: "alice", Groups: []string{"staff"}, Client: true},
		{Name: "etcd-client", CA: pki.EtcdCA, CN: "apiserver", Client: true},
	}
}

func parse(t *testing.T, content []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(content)
	if block == nil {
		t.Fatal("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pool(t *testing.T, content []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(parse(t, content))
	return pool
}

func TestChainsAndPurposes(t *testing.T) {
	files, err := pki.Make(leaves(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		leaf    string
		ca      string
		host    string
		usage   x509.ExtKeyUsage
		at      time.Time
		refused bool
	}{
		{name: "server by name", leaf: "server", ca: pki.CA, host: "localhost", usage: x509.ExtKeyUsageServerAuth},
		{name: "server by address", leaf: "server", ca: pki.CA, host: "10.0.0.1", usage: x509.ExtKeyUsageServerAuth},
		{name: "client", leaf: "client", ca: pki.CA, usage: x509.ExtKeyUsageClientAuth},
		{name: "another host", leaf: "server", ca: pki.CA, host: "example.org", usage: x509.ExtKeyUsageServerAuth, refused: true},
		{name: "server as client", leaf: "server", ca: pki.CA, usage: x509.ExtKeyUsageClientAuth, refused: true},
		{name: "client as server", leaf: "client", ca: pki.CA, usage: x509.ExtKeyUsageServerAuth, refused: true},
		{name: "cluster certificate at etcd", leaf: "client", ca: pki.EtcdCA, usage: x509.ExtKeyUsageClientAuth, refused: true},
		{name: "etcd certificate at the cluster", leaf: "etcd-client", ca: pki.CA, usage: x509.ExtKeyUsageClientAuth, refused: true},
		{name: "cluster certificate at the front proxy", leaf: "client", ca: pki.FrontCA, usage: x509.ExtKeyUsageClientAuth, refused: true},
		{name: "expired", leaf: "client", ca: pki.CA, usage: x509.ExtKeyUsageClientAuth, at: testTime.Add(pki.Lifetime + time.Hour), refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			at := test.at
			if at.IsZero() {
				at = testTime
			}
			_, err := parse(t, files[test.leaf+".crt"]).Verify(x509.VerifyOptions{
				Roots: pool(t, files[test.ca]), DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.usage}, CurrentTime: at,
			})
			if (err != nil) != test.refused {
				t.Errorf("got error %v, want refused %v", err, test.refused)
			}
		})
	}
}

func TestNamesAndKeys(t *testing.T) {
	files, err := pki.Make(leaves(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, files["client.crt"])
	if cert.Subject.CommonName != "alice" || len(cert.Subject.Organization) != 1 || cert.Subject.Organization[0] != "staff" {
		t.Errorf("subject is %v", cert.Subject)
	}
	for _, leaf := range leaves() {
		if _, err := tls.X509KeyPair(files[leaf.Name+".crt"], files[leaf.Name+".key"]); err != nil {
			t.Errorf("%s: certificate and key do not belong together: %v", leaf.Name, err)
		}
	}
	for _, authority := range []string{"ca.key", "etcd-ca.key", "front-proxy-ca.key"} {
		if _, kept := files[authority]; kept {
			t.Errorf("%s is handed out: whoever reads it can make any certificate", authority)
		}
	}
}

func TestUnknownAuthority(t *testing.T) {
	if _, err := pki.Make([]pki.Leaf{{Name: "x", CA: "typo.crt"}}, testTime); err == nil {
		t.Error("a leaf of an unknown authority was made")
	}
}

func TestFresh(t *testing.T) {
	write := func(t *testing.T) string {
		files, err := pki.Make(leaves(), testTime)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "pki")
		if err := pki.Write(dir, files); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dir := write(t)
	if !pki.Fresh(dir, leaves(), testTime) {
		t.Error("just made, but not fresh")
	}
	if info, err := os.Stat(filepath.Join(dir, "client.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	if pki.Fresh(dir, leaves(), testTime.Add(pki.Lifetime*2/3)) {
		t.Error("fresh though more than half of its life is over")
	}
	changed := leaves()
	changed[0].Hosts = append(changed[0].Hosts, "new.example")
	if pki.Fresh(dir, changed, testTime) {
		t.Error("fresh though another host is wanted")
	}
	for _, name := range []string{"client.key", "ca.crt", "service-account.pub"} {
		dir := write(t)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if pki.Fresh(dir, leaves(), testTime) {
			t.Errorf("fresh though %s is broken", name)
		}
	}
}
