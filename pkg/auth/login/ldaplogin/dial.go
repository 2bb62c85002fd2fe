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
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxReply bounds what a directory may send on one connection during one login, in
// bytes: an entry with a 50 MB photo must not fill our memory (L11). A decoded element
// takes up to a hundred times its two bytes.
const maxReply = 1 << 20

// Conn is what a login needs of an LDAP connection; tests script one.
type Conn interface {
	StartTLS(*tls.Config) error
	SimpleBind(*ldap.SimpleBindRequest) (*ldap.SimpleBindResult, error)
	Search(*ldap.SearchRequest) (*ldap.SearchResult, error)
	// Use lends the connection to one login: everything that waits on it ends with ctx,
	// and the directory may send maxReply bytes more. The returned function takes it
	// back and reports whether ctx let it live.
	Use(ctx context.Context) (release func() bool)
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
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connect to the directory: %w", err)
	}
	limited := &limitedConn{Conn: raw}
	limited.left.Store(maxReply)
	var conn net.Conn = limited
	if u.Scheme == "ldaps" {
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS with the directory: %w", err)
		}
		conn = secure
	}
	c := ldap.NewConn(conn, u.Scheme == "ldaps")
	c.Start()
	return ldapConn{c, limited}, nil
}

// ldapConn adds to go-ldap's connection, which knows no context, a way to end what waits.
type ldapConn struct {
	*ldap.Conn
	socket *limitedConn
}

func (c ldapConn) Use(ctx context.Context) (release func() bool) {
	c.socket.left.Store(maxReply)
	// go-ldap's own limit is for an answer that never comes on a connection that no goroutine
	// reads: after an unexpected answer to StartTLS.
	if deadline, ok := ctx.Deadline(); ok {
		c.SetTimeout(max(time.Until(deadline), time.Millisecond))
	}
	// A time limit on the socket, not Close: that waits for the goroutine that may hang.
	stop := context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(time.Unix(1, 0)) })
	return func() bool { return stop() && !c.IsClosing() }
}

// Close ends the connection at once. go-ldap's Close may wait for its own goroutines.
func (c ldapConn) Close() error {
	err := c.socket.Close()
	go c.Conn.Close() //nolint:errcheck // the socket is closed already
	return err
}

// limitedConn ends a connection that sends more than it should.
type limitedConn struct {
	net.Conn
	left atomic.Int64 // bytes
}

func (c *limitedConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return 0, errors.New("the directory sent too much for one login")
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(-int64(n))
	return n, err
}

// tlsConfig verifies the directory's certificate for the URL's host. The CA file is
// read for each connection, so that a renewed CA needs no restart.
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
