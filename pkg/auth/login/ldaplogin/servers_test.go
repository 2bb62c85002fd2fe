package ldaplogin

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
)

// TestR13_ServersInTurn: what one server does not do, the next does; who answered last
// is asked first; a kept connection that died is replaced.
func TestR13_ServersInTurn(t *testing.T) {
	t.Parallel()
	good := newWire(t)
	for name, bad := range map[string]func(r request) []byte{
		"dies at once":       func(request) []byte { return nil },
		"dies in the search": nil,
		"busy":               func(r request) []byte { return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultBusy) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = bad
			if bad == nil {
				w.answer = func(r request) []byte {
					if r.op == ldap.ApplicationSearchRequest {
						return nil
					}
					return w.honest(r)
				}
			}
			login := twoServers(t, w, good)
			for range 2 {
				if user, err := login.Check(context.Background(), "alice", "pw"); err != nil || user.Name != "alice" {
					t.Errorf("%+v, %v", user, err)
				}
			}
			before := len(w.seen())
			if _, err := login.Check(context.Background(), "alice", "pw"); err != nil || len(w.seen()) != before {
				t.Errorf("the bad server was asked again: %v", err)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close() //nolint:errcheck // the test is over
		login := twoServers(t, &wire{url: "ldap://" + silent.Addr().String(), caFile: good.caFile}, good)
		login.attempt = 200 * time.Millisecond
		if user, err := login.Check(context.Background(), "alice", "pw"); err != nil || user.Name != "alice" {
			t.Errorf("%+v, %v", user, err)
		}
	})
	t.Run("a refusal is final", func(t *testing.T) {
		w := newWire(t)
		w.answer = func(r request) []byte {
			if r.op == ldap.ApplicationBindRequest && r.fields != "cn=service" {
				return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
			}
			return w.honest(r)
		}
		if _, err := twoServers(t, w, good).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%v", err)
		}
	})
}

// twoServers is a login that asks a, then b, and trusts both.
func twoServers(t *testing.T, a, b *wire) *Login {
	t.Helper()
	var both []byte
	for _, w := range []*wire{a, b} {
		pem, err := os.ReadFile(w.caFile)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, pem...)
	}
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return New(scripted(t, nil, func(c *Config) { c.URLs, c.CAFile = []string{a.url, b.url}, caFile }).cfg)
}

func TestKeptConnections(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	login := w.login(t)
	serviceBinds := func() (n int) {
		for _, r := range w.seen() {
			if r == "TLS bind cn=service" {
				n++
			}
		}
		return n
	}
	in := func() {
		t.Helper()
		if _, err := login.Check(context.Background(), "alice", "pw"); err != nil {
			t.Fatal(err)
		}
	}
	in()
	in()
	if n := serviceBinds(); n != 1 {
		t.Errorf("the service account bound %d times for two logins", n)
	}
	// The directory closes what was idle.
	for _, c := range login.servers[0].idle {
		_ = c.Close()
	}
	in()
	if n := serviceBinds(); n != 2 {
		t.Errorf("%d binds after the kept connection died", n)
	}
	// What is unused for long is not used again: a firewall may have forgotten it.
	login.servers[0].now = func() time.Time { return time.Now().Add(2 * maxIdle) }
	in()
	if n := serviceBinds(); n != 3 {
		t.Errorf("%d binds after a long pause", n)
	}
}

// TestClientGone: who gives up waiting frees the connection at once.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	asked := make(chan struct{})
	var once sync.Once
	block := make(chan struct{})
	defer close(block)
	w.answer = func(r request) []byte {
		if r.op == ldap.ApplicationSearchRequest {
			once.Do(func() { close(asked) })
			<-block
		}
		return w.honest(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	login := w.login(t)
	if _, err := login.Check(ctx, "alice", "pw"); !errors.Is(err, access.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(login.servers[0].slots) != 0 || len(login.servers[0].idle) != 0 {
		t.Error("the connection is still held")
	}
}
