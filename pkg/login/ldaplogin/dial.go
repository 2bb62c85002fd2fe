package ldaplogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// dialTimeout leaves time for the next address when one host drops packets.
const dialTimeout = 2 * time.Second

// maxReply bounds what a directory may send during one login, in bytes: an entry with
// a 50 MB photo must not fill our memory (L11).
const maxReply = 4 << 20

// Conn is what a login needs of an LDAP connection; tests script one.
type Conn interface {
	StartTLS(*tls.Config) error
	Bind(dn, password string) error
	Search(*ldap.SearchRequest) (*ldap.SearchResult, error)
	Close() error
}

// dialFunc opens a connection to rawURL; for ldaps:// TLS is verified on return.
type dialFunc func(ctx context.Context, rawURL string, conf *tls.Config) (Conn, error)

func dial(ctx context.Context, rawURL string, conf *tls.Config) (Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("directory address: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connect to the directory: %w", err)
	}
	var conn net.Conn = &limitedConn{Conn: raw, left: maxReply}
	if u.Scheme == "ldaps" {
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS with the directory: %w", err)
		}
		conn = secure
	}
	c := ldap.NewConn(conn, u.Scheme == "ldaps")
	c.SetTimeout(timeout)
	c.Start()
	return c, nil
}

// limitedConn ends a connection that sends more than it should.
type limitedConn struct {
	net.Conn
	left int
}

func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the directory sent too much for one login")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// tlsConfig verifies the directory's certificate for the URL's host. The CA file is
// read for each login, so that a renewed CA needs no restart.
func (c Config) tlsConfig(rawURL string) (*tls.Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("directory address: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	if c.CAFile == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the directory's CA: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the directory's CA file %s holds no certificate", c.CAFile)
	}
	return conf, nil
}
