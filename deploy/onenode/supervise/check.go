package supervise

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/pki"
)

// probeWithin bounds one probe.
const probeWithin = 5 * time.Second

// NewChecker probes with the certificates in folder; servers must show one of its authority.
func NewChecker(folder string) Checker {
	return func(ctx context.Context, probe parts.Probe) error {
		ctx, cancel := context.WithTimeout(ctx, probeWithin)
		defer cancel()
		if len(probe.Command) > 0 {
			return run(ctx, probe.Command)
		}
		return get(ctx, folder, probe)
	}
}

func run(ctx context.Context, command []string) error {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %.300s", filepath.Base(command[0]), err, out)
	}
	return nil
}

func get(ctx context.Context, folder string, probe parts.Probe) error {
	config, err := TLSConfig(folder, probe.Cert)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe.URL, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", probe.URL, response.Status)
	}
	return nil
}

// TLSConfig trusts the node's authorities for servers and, if cert is not empty, shows that client certificate.
func TLSConfig(folder, cert string) (*tls.Config, error) {
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	for _, name := range []string{pki.CA, pki.EtcdCA} {
		ca, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("certificate authority: no certificate in " + name)
		}
	}
	if cert == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, cert+".crt"), filepath.Join(folder, cert+".key"))
	if err != nil {
		return nil, fmt.Errorf("client certificate %s: %w", cert, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
