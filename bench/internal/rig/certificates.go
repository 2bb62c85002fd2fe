package rig

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/perijove/perijove/pkg/hub/spawn/proof"
)

// certificates are the pods' certificates, each made when it is asked for first.
type certificates struct {
	ca *proof.CA

	mu   sync.Mutex
	made map[string]*tls.Certificate
}

// newCertificates reads the servers' CA from its folder.
func newCertificates(dir string) (*certificates, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the servers' CA: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("read the servers' CA: %w", err)
	}
	ca, err := proof.New(certificate, key)
	return &certificates{ca: ca, made: map[string]*tls.Certificate{}}, err
}

// get returns the certificate of the pod that the client asks for.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.made[hello.ServerName]; have != nil {
		return have, nil
	}
	uid, _, _ := strings.Cut(hello.ServerName, ".")
	pair, err := c.ca.Issue(uid)
	if err != nil {
		return nil, err
	}
	made, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("read a pod's certificate: %w", err)
	}
	c.made[hello.ServerName] = &made
	return &made, nil
}
