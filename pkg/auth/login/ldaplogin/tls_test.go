package ldaplogin

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

// TestL6_NothingWithoutTLS watches the wire while StartTLS goes wrong in each way.
func TestL6_NothingWithoutTLS(t *testing.T) {
	t.Parallel()
	other := newWire(t)
	for name, break_ := range map[string]func(*wire){
		"refused": func(w *wire) {
			w.answer = func(r request) []byte {
				return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultUnwillingToPerform)
			}
		},
		"stripped: not understood": func(w *wire) {
			w.answer = func(r request) []byte {
				return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError)
			}
		},
		"stripped: connection closed": func(w *wire) { w.answer = func(request) []byte { return nil } },
		"another CA":                  func(w *wire) { w.conf = other.conf },
		"expired": func(w *wire) {
			cert, caFile := slapd.ExpiredCertificate(t, t.TempDir())
			w.conf, w.caFile = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, caFile
		},
		"TLS 1.1": func(w *wire) {
			w.conf = &tls.Config{Certificates: w.conf.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // the attack
		},
		"another name": func(w *wire) { w.url = strings.Replace(w.url, "127.0.0.1", "127.0.0.2", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			break_(w)
			if user, err := w.login(t).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
				t.Errorf("%+v, %v", user, err)
			}
			for _, r := range w.seen() {
				if r != "clear StartTLS" {
					t.Errorf("sent %q", r)
				}
			}
		})
	}
}

// TestL6_InjectedPlaintext: answers that an attacker puts before the handshake must not
// be taken for the directory's. The true directory refuses every bind of a person.
func TestL6_InjectedPlaintext(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.answer = func(r request) []byte {
		if r.op == ldap.ApplicationBindRequest && r.fields != "cn=service" {
			return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
		}
		return w.honest(r)
	}
	if _, err := w.login(t).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrCredentials) {
		t.Fatalf("without an attack: %v", err)
	}
	for id := int64(1); id < 6; id++ {
		w.clear = append(w.clear, result(id, ldap.ApplicationBindResponse, 0)...)
	}
	if user, err := w.login(t).Check(context.Background(), "alice", "pw"); err == nil {
		t.Errorf("logged in as %+v", user)
	}
}
