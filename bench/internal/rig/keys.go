package rig

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/pkg/contract"
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
	dirSpawner     = "spawner" // the spawners' own certificate
)

// writeKeys makes every secret of the platform for this one run. Only spawners are reached
// over mutual TLS, but Envoy's bootstrap names the files, so they must always be there.
func (r *Rig) writeKeys() error {
	authority, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	for dir, name := range map[string]string{dirTLS: contract.NameGateway, dirSpawner: contract.NameSpawner} {
		pair, err := authority.Sign(24*time.Hour, name)
		if err != nil {
			return err
		}
		if err := os.Mkdir(r.Path(dir), 0o700); err != nil {
			return fmt.Errorf("folder of certificates: %w", err)
		}
		if _, err := authority.Write(r.Path(dir), pair); err != nil {
			return err
		}
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

// tlsOptions names the files of one of the folders that writeKeys made.
func (r *Rig) tlsOptions(dir string) options {
	return options{"cert": r.Path(dir + "/tls.crt"), "key": r.Path(dir + "/tls.key"), "ca": r.Path(dir + "/ca.crt")}
}
