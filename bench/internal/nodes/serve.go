package nodes

import (
	"bufio"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Variables by which a pod says whose it is: our spawner's, and KubeSpawner's.
const (
	ourUser  = "PERIJOVE_USER"
	hubUser  = "JUPYTERHUB_USER"
	ourToken = "PERIJOVE_SERVER_SECRET"
)

// Page is what the server of a user answers to a visitor, whichever path is asked. Each of our
// pods knows its visitor from Envoy; a pod of KubeSpawner, which would ask JupyterHub, does not.
func Page(user, visitor string) string {
	return fmt.Sprintf("<!doctype html><title>server of %s</title><p>visited by %s", html.EscapeString(user), html.EscapeString(visitor))
}

// servers are the programs of all pods, by address.
type servers struct {
	mu    sync.Mutex
	byIP  map[string]*program
	conns chan net.Conn
}

// program is the one that a pod would run.
type program struct {
	user   string
	secret []byte // that shows a request came through Envoy; nil for KubeSpawner's
	tls    *tls.Config
	from   time.Time // when it answers
}

func newServers() *servers {
	return &servers{byIP: map[string]*program{}, conns: make(chan net.Conn)}
}

// add lets a pod's program answer from a moment on.
func (s *servers) add(ip string, pod *corev1.Pod, secrets map[string]*corev1.Secret, from time.Time) error {
	p := &program{from: from}
	for _, c := range pod.Spec.Containers {
		for _, e := range c.Env {
			switch {
			case e.Name == ourUser || e.Name == hubUser:
				p.user = e.Value
			case e.Name == ourToken && e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil:
				p.secret = secrets[e.ValueFrom.SecretKeyRef.Name].Data[e.ValueFrom.SecretKeyRef.Key]
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret == nil {
			continue
		}
		config, err := certificate(secrets[v.Secret.SecretName].Data)
		if err != nil {
			return err
		}
		p.tls = config
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byIP[ip] = p
	return nil
}

// certificate is how a server with a proof speaks TLS.
func certificate(data map[string][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("read a pod's certificate: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(data["ca.crt"]) {
		return nil, errors.New("a pod's secret has no CA of clients")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}, nil
}

func (s *servers) remove(ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byIP, ip)
}

// at returns the program that answers at an address now, nil for none.
func (s *servers) at(addr net.Addr) *program {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byIP[host]
	if p == nil || time.Now().Before(p.from) {
		return nil
	}
	return p
}

// listen takes connections at every address of the pods.
func (s *servers) listen() error {
	l, err := net.Listen("tcp4", fmt.Sprintf(":%d", Port))
	if err != nil {
		return fmt.Errorf("listen for all pods: %w", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.sort(conn)
		}
	}()
	server := &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(&listener{s.conns, l.Addr()}) }()
	return nil
}

// sort closes a connection to a pod that does not answer yet, and finds out whether TLS is spoken
// on another.
func (s *servers) sort(conn net.Conn) {
	p := s.at(conn.LocalAddr())
	if p == nil {
		_ = conn.Close()
		return
	}
	if p.tls == nil {
		s.conns <- conn
		return
	}
	in := bufio.NewReader(conn)
	if first, err := in.Peek(1); err != nil || first[0] != 0x16 { // the first byte of TLS (RFC 8446 §5.1)
		_ = conn.Close()
		return
	}
	s.conns <- tls.Server(&begun{conn, in}, p.tls)
}

// answer shows whose server this is. Like Jupyter it answers /api to all, and pages of our pods
// only to requests that came through Envoy.
func (s *servers) answer(w http.ResponseWriter, r *http.Request) {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	p := s.at(addr)
	if p == nil {
		http.Error(w, "gone", http.StatusNotFound)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/api") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"version": "2.21.0"}`))
		return
	}
	if p.secret != nil && subtle.ConstantTimeCompare([]byte(r.Header.Get(contract.HeaderServerSecret)), p.secret) != 1 {
		http.Error(w, "not through the gateway", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(Page(p.user, r.Header.Get(contract.HeaderUser))))
}

// begun is a connection whose first bytes were read already.
type begun struct {
	net.Conn
	in *bufio.Reader
}

func (c *begun) Read(p []byte) (int, error) { return c.in.Read(p) }

// listener hands sorted connections to net/http.
type listener struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l *listener) Accept() (net.Conn, error) { return <-l.conns, nil }
func (l *listener) Addr() net.Addr            { return l.addr }
func (l *listener) Close() error              { return nil }
