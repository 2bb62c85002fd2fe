// Package slapd runs the development directory (deploy/directory) for a test: a real
// OpenLDAP on a random loopback port, with certificates made on the fly.
//
// It never skips a test: without slapd the test fails and says how to install it.
package slapd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// Names and passwords of the development directory.
const (
	Base            = "dc=perijove,dc=test"
	BindDN          = "cn=perijove,ou=services," + Base
	ServicePassword = "perijove-service-password"
	AdminDN         = "cn=admin," + Base
	adminPassword   = "perijove-admin-password"
)

// logOperations is slapd's debug level for one line per operation.
const logOperations = "256"

// Server is a running directory.
type Server struct {
	LDAP   string // ldap://127.0.0.1:port, StartTLS required
	LDAPS  string // ldaps://127.0.0.1:port
	CAFile string
	// PasswordFile holds ServicePassword.
	PasswordFile string

	cmd  *exec.Cmd
	log  *logs.Buffer
	once sync.Once
}

// Start runs a directory until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	// Not t.TempDir: slapd runs as another user, who must reach the folder.
	dir, err := os.MkdirTemp("", "perijove-slapd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the key below it is 0600
		t.Fatal(err)
	}
	tlsDir := filepath.Join(dir, "tls")
	if err := os.Mkdir(tlsDir, 0o700); err != nil {
		t.Fatal(err)
	}
	files := pki.New(t).IssueIn(tlsDir, "localhost", 24*time.Hour)
	passwordFile := filepath.Join(dir, "service-password")
	if err := os.WriteFile(passwordFile, []byte(ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	adminFile := filepath.Join(dir, "admin-password")
	if err := os.WriteFile(adminFile, []byte(adminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, secure := ports.Free(t), ports.Free(t)
	s := &Server{
		LDAP: fmt.Sprintf("ldap://127.0.0.1:%d", plain), LDAPS: fmt.Sprintf("ldaps://127.0.0.1:%d", secure),
		CAFile: files.CA, PasswordFile: passwordFile, log: &logs.Buffer{},
	}
	s.cmd = exec.Command(filepath.Join(repo.Root(t), "deploy", "directory", "run.sh"))
	s.cmd.Env = append(os.Environ(), "DIRECTORY_TLS="+tlsDir, "DIRECTORY_DATA="+filepath.Join(dir, "data"), "DIRECTORY_HOST=127.0.0.1",
		"DIRECTORY_LDAP="+strconv.Itoa(plain), "DIRECTORY_LDAPS="+strconv.Itoa(secure), "DIRECTORY_SERVICE_PASSWORD_FILE="+passwordFile,
		"DIRECTORY_ADMIN_PASSWORD_FILE="+adminFile, "DIRECTORY_DEBUG="+logOperations)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	// A test that is killed must not leave a directory running.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start the directory: %v", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- s.cmd.Wait() }()
	t.Cleanup(s.Stop)
	s.await(t, secure, exited)
	return s
}

// await returns once a TLS handshake succeeds, the sign that slapd serves.
func (s *Server) await(t testing.TB, port int, exited <-chan error) {
	t.Helper()
	conf := &tls.Config{RootCAs: s.pool(t), MinVersion: tls.VersionTLS12}
	ended, err := false, error(nil)
	if !wait.Poll(time.Minute, func() bool {
		select {
		case err = <-exited:
			ended = true
			return true
		default:
		}
		conn, failed := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), conf)
		if err = failed; err == nil {
			_ = conn.Close()
		}
		return err == nil
	}) || ended {
		t.Fatalf("the directory does not answer (ended: %v): %v\n%s", ended, err, s.log)
	}
}

// Stop ends the directory, as a test of its absence does.
func (s *Server) Stop() {
	s.once.Do(func() { _ = s.cmd.Process.Kill() })
}

// Log returns what slapd wrote about everything that it was asked before: one line per
// operation, with its connection.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	// The log comes through a pipe. Once this question is in it, all earlier ones are.
	marker := fmt.Sprintf("(description=marker-%d)", time.Now().UnixNano())
	request := ldap.NewSearchRequest(Base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 5, false, marker, []string{"1.1"}, nil)
	if _, err := s.Admin(t).Search(request); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the directory's log has the marker", func() bool { return strings.Contains(s.log.String(), marker) })
	return s.log.String()
}

// Admin returns a connection that may change everything, until the test ends.
func (s *Server) Admin(t testing.TB) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.LDAPS, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.pool(t), MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Bind(AdminDN, adminPassword); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Add adds one entry: attributes by name.
func (s *Server) Add(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	request := ldap.NewAddRequest(dn, nil)
	for name, values := range attributes {
		request.Attribute(name, values)
	}
	if err := s.Admin(t).Add(request); err != nil {
		t.Fatalf("add %s: %v", dn, err)
	}
}

// Set replaces one attribute; no values remove it. Also what only the server itself
// writes otherwise.
func (s *Server) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	relax := ldap.NewControlString("1.3.6.1.4.1.4203.666.5.12", true, "")
	request := ldap.NewModifyRequest(dn, []ldap.Control{relax})
	request.Replace(attribute, values)
	if err := s.Admin(t).Modify(request); err != nil {
		t.Fatalf("set %s of %s: %v", attribute, dn, err)
	}
}

func (s *Server) pool(t testing.TB) *x509.CertPool {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return pool
}

// Certificate returns a server certificate for 127.0.0.1, and the file in dir that
// holds the CA that signed it.
func Certificate(t testing.TB, dir string) (cert tls.Certificate, caFile string) {
	t.Helper()
	return certificate(t, dir, 24*time.Hour)
}

// ExpiredCertificate is Certificate with one that ended a minute ago.
func ExpiredCertificate(t testing.TB, dir string) (cert tls.Certificate, caFile string) {
	t.Helper()
	return certificate(t, dir, -time.Minute)
}

func certificate(t testing.TB, dir string, valid time.Duration) (tls.Certificate, string) {
	t.Helper()
	files := pki.New(t).IssueIn(dir, "localhost", valid)
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, files.CA
}
