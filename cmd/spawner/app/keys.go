package app

import (
	"crypto/tls"
	"fmt"
	"os"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
)

// load reads the CA of servers.
func (k KeyPair) load() (*proof.CA, error) {
	certificate, err := os.ReadFile(k.Cert)
	if err != nil {
		return nil, fmt.Errorf("read the servers' CA: %w", err)
	}
	key, err := os.ReadFile(k.Key)
	if err != nil {
		return nil, fmt.Errorf("read the servers' CA: %w", err)
	}
	return proof.New(certificate, key)
}

// podKeys reads what pods' secrets are made from.
func podKeys(cfg Config) (spawn.Keys, error) {
	server, err := config.SecretFile(cfg.ServerKeyFile, minServerKey)
	if err != nil {
		return spawn.Keys{}, err
	}
	ca, err := cfg.ServersCA.load()
	if err != nil {
		return spawn.Keys{}, err
	}
	clients, err := os.ReadFile(cfg.TLS.CA)
	if err != nil {
		return spawn.Keys{}, fmt.Errorf("read the CA of services: %w", err)
	}
	return spawn.Keys{Server: server, CA: ca, Clients: clients}, nil
}

// podTrust is how the probe meets pods: with the spawner's certificate, and trusting the CA of
// servers only.
func podTrust(cfg Config) (*tls.Config, error) {
	return mtls.Client(mtls.Files{Cert: cfg.TLS.Cert, Key: cfg.TLS.Key, CA: cfg.ServersCA.Cert}, "")
}
