package dataplane

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/perijove/perijove/pkg/contract"
)

// upstream stands for a user's server: it answers everything with what it was sent
// and keeps a log, since "no byte reached the pod" is what most tests assert.
type upstream struct {
	addr string

	stop func()

	mu     sync.Mutex
	seen   []seen
	header http.Header // added to each reply
	secret string      // if set, requests without it are refused, as a spawned server does
}

type seen struct {
	Marker string      `json:"marker"`
	Path   string      `json:"path"`
	Header http.Header `json:"header"`
	Host   string      `json:"host"`
}

// newUpstream listens on ip:8888 inside the test's namespace, in plain HTTP.
func newUpstream(t *testing.T, ip, marker string) *upstream {
	return newUpstreamOver(t, ip, marker, nil)
}

// newUpstreamOver is newUpstream over TLS, unless conf is nil.
func newUpstreamOver(t *testing.T, ip, marker string, conf *tls.Config) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", ip+":8888")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	u := &upstream{addr: l.Addr().String()}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{Marker: marker, Path: r.RequestURI, Header: r.Header, Host: r.Host}
		if !u.accept(s) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		u.decorate(w.Header())
		for name, values := range r.URL.Query() {
			if name == http.CanonicalHeaderKey(name) { // the test wants the header
				w.Header()[name] = values
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s)
	})}
	go func() { _ = srv.Serve(l) }()
	u.stop = func() { _ = srv.Close() }
	t.Cleanup(u.stop)
	return u
}

// guard makes the upstream refuse requests that do not carry secret.
func (u *upstream) guard(secret string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.secret = secret
}

// answer adds headers to each reply from now on.
func (u *upstream) answer(h http.Header) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.header = h
}

func (u *upstream) decorate(h http.Header) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.Copy(h, u.header)
}

func (u *upstream) accept(s seen) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.secret != "" && s.Header.Get(contract.HeaderServerSecret) != u.secret {
		return false
	}
	u.seen = append(u.seen, s)
	return true
}

// maxMessage is the largest websocket message that the test's own ends take, in bytes.
const maxMessage = 64 << 20

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin check is Jupyter's and authz's
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(maxMessage)
	if r.URL.Query().Has("ping") {
		go keepAlive(r.Context(), c)
	}
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

// keepAlive pings the client, far more often than a Jupyter server does.
func keepAlive(ctx context.Context, c *websocket.Conn) {
	every := time.NewTicker(2 * time.Second)
	defer every.Stop()
	for c.Ping(ctx) == nil {
		<-every.C
	}
}

func (u *upstream) requests() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]seen(nil), u.seen...)
}
