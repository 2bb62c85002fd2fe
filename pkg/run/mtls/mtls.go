package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/credentials/tls/certprovider"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"

	"github.com/perijove/perijove/pkg/run/config"
)

// reload is how often changed files are looked for; Kubernetes needs up to a
// minute to update a mounted Secret.
const reload = 30 * time.Second

// Files are PEM paths: our certificate, its key, and the CA that peers' certificates must be
// signed by.
type Files struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
}

// Validate reports the missing paths under key.
func (f Files) Validate(key string, faults *config.Faults) {
	faults.Required(map[string]string{key + ".cert": f.Cert, key + ".key": f.Key, key + ".ca": f.CA})
}

// Server returns a configuration that requires a client certificate signed by files.CA with
// one of the DNS names in allowed. It is an error if allowed is empty or a file cannot be read.
func Server(files Files, allowed []string) (*tls.Config, error) {
	if len(allowed) == 0 {
		return nil, errors.New("no client name is allowed: the port would refuse everyone")
	}
	source, err := provider(files)
	if err != nil {
		return nil, err
	}
	verify := func(cs tls.ConnectionState) error {
		return checkPeer(source, cs, x509.ExtKeyUsageClientAuth, allowed)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     tls.RequireAnyClientCert, // verified against the current CA by VerifyConnection
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current(source) },
		// Runs on resumed sessions too, so a name taken off the list is refused at once.
		VerifyConnection: verify,
	}, nil
}

// Client returns a configuration that shows our certificate and accepts only a server
// certificate signed by files.CA for serverName. It is an error if a file cannot be read. A
// copy with another ServerName accepts that name instead; one without a name accepts none.
func Client(files Files, serverName string) (*tls.Config, error) {
	source, err := provider(files)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ServerName:           serverName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current(source) },
		// Go's own verification has a fixed pool; VerifyConnection verifies chain and
		// name against the CA file as it is now.
		InsecureSkipVerify: true, //nolint:gosec // replaced by VerifyConnection, not skipped
		VerifyConnection: func(cs tls.ConnectionState) error {
			return checkPeer(source, cs, x509.ExtKeyUsageServerAuth, []string{cs.ServerName})
		},
	}, nil
}

func provider(files Files) (certprovider.Provider, error) {
	p, err := pemfile.NewProvider(pemfile.Options{
		CertFile: files.Cert, KeyFile: files.Key, RootFile: files.CA, RefreshDuration: reload,
	})
	if err != nil {
		return nil, fmt.Errorf("watch certificate files: %w", err)
	}
	if _, err := current(p); err != nil {
		return nil, err
	}
	return p, nil
}

func material(source certprovider.Provider) (*certprovider.KeyMaterial, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	km, err := source.KeyMaterial(ctx)
	if err != nil {
		return nil, fmt.Errorf("read certificate files: %w", err)
	}
	return km, nil
}

func current(source certprovider.Provider) (*tls.Certificate, error) {
	km, err := material(source)
	if err != nil {
		return nil, err
	}
	if len(km.Certs) == 0 {
		return nil, errors.New("certificate file holds no certificate")
	}
	return &km.Certs[0], nil
}

func checkPeer(source certprovider.Provider, cs tls.ConnectionState, usage x509.ExtKeyUsage, allowed []string) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("peer shows no certificate")
	}
	km, err := material(source)
	if err != nil {
		return err
	}
	leaf := cs.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: km.Roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return fmt.Errorf("peer certificate: %w", err)
	}
	for _, name := range leaf.DNSNames {
		if name != "" && slices.Contains(allowed, name) {
			return nil
		}
	}
	return fmt.Errorf("peer %q is none of %q", leaf.DNSNames, allowed)
}
