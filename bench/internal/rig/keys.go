package rig

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/pki"
)

// Files in the rig's folder.
const (
	fileServerKey  = "server.key"
	fileSessionKey = "session.key"
	filePassKey    = "pass.pem"
	dirTLS         = "tls"
	dirServers     = "servers" // the CA of the pods' certificates
)

// writeKeys makes every secret of the platform for this one run. Nothing is reached
// over mutual TLS, but Envoy's bootstrap names the files, so they must be there.
func (r *Rig) writeKeys() error {
	authority, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	pair, err := authority.Sign(24*time.Hour, "benchmark")
	if err != nil {
		return err
	}
	if err := os.Mkdir(r.Path(dirTLS), 0o700); err != nil {
		return fmt.Errorf("folder of certificates: %w", err)
	}
	if _, err := authority.Write(r.Path(dirTLS), pair); err != nil {
		return err
	}
	if err := r.writeServersCA(); err != nil {
		return err
	}
	passKey, err := keys.PEM()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		fileServerKey: bytes.Repeat([]byte("k"), 32), fileSessionKey: bytes.Repeat([]byte("s"), 32), filePassKey: passKey,
	} {
		if err := os.WriteFile(r.Path(name), data, 0o600); err != nil {
			return fmt.Errorf("write a key: %w", err)
		}
	}
	return nil
}

// writeServersCA makes the CA that pods' certificates come from. Only the upstream, which
// plays all pods, reads its key.
func (r *Rig) writeServersCA() error {
	authority, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	pair, err := authority.Pair()
	if err != nil {
		return err
	}
	if err := os.Mkdir(r.Path(dirServers), 0o700); err != nil {
		return fmt.Errorf("folder of the servers' CA: %w", err)
	}
	_, err = authority.Write(r.Path(dirServers), pair)
	return err
}
