package oidclogin

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

func TestO7_Discovery(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(map[string]any){
		"another issuer":        func(d map[string]any) { d["issuer"] = "https://evil.test" },
		"issuer with a slash":   func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" },
		"no issuer":             func(d map[string]any) { delete(d, "issuer") },
		"token in clear":        func(d map[string]any) { d["token_endpoint"] = "http://127.0.0.1/token" },
		"keys in clear":         func(d map[string]any) { d["jwks_uri"] = "http://169.254.169.254/latest" },
		"keys in a file":        func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" },
		"authorize is a script": func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"no keys":               func(d map[string]any) { delete(d, "jwks_uri") },
		"with a password":       func(d map[string]any) { d["token_endpoint"] = "https://u:p@op.test/token" },
	} {
		p, op, _ := newPair(t)
		op.Lie(hostileop.Switches{Discovery: lie})
		if _, _, err := p.Begin(t.Context(), callback, "", false); !errors.Is(err, access.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		honest(t, p, op) // and a fault does not stay
	}
	// A list of weak algorithms does not make us weaker.
	p, op, _ := newPair(t)
	op.Lie(hostileop.Switches{Discovery: func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"none", "HS256"} }, Token: unsigned})
	if _, err := login(t, p, op); !errors.Is(err, ErrToken) {
		t.Errorf("alg none offered and used: %v", err)
	}
}

func TestO14_ProviderDownSlowOrLying(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	big := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 10 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
				return
			}
		}
	}
	loop := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again"+r.URL.Path, http.StatusTemporaryRedirect)
	}
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	garbage := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.Repeat(`{"a":`, 100_000)))
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		for name, instead := range map[string]http.HandlerFunc{"10 MB": big, "redirect loop": loop, "502": broken, "garbage": garbage, "hang": hang} {
			t.Run(name+" at "+path, func(t *testing.T) {
				t.Parallel()
				p, op, c := newPair(t)
				if name == "hang" {
					p.callTimeout, p.wholeTimeout = time.Second, 2*time.Second
				}
				lie := hostileop.Switches{
					Claims:  func(c map[string]any) { delete(c, "groups") },
					Instead: instead, InsteadOf: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, path) },
				}
				op.Lie(lie)
				location, sealed, err := p.Begin(t.Context(), callback, "", false)
				if err == nil {
					_, _, err = p.Finish(t.Context(), approve(t, op, location), sealed)
				}
				if !errors.Is(err, access.ErrUnavailable) {
					t.Errorf("%v", err)
				}
				if op.Asked("/again"+path) != 0 {
					t.Error("a redirect was followed")
				}
				honest(t, newProvider(t, op, "op", c), op)
			})
		}
	}
	t.Run("another CA", func(t *testing.T) {
		p, op, c := newPair(t)
		other := hostileop.Start(t, c.now)
		_, p.cfg.CAFile = other.Files()
		// Every httptest server has the same certificate; none is trusted without the file.
		p.cfg.CAFile = ""
		if _, _, err := p.Begin(t.Context(), callback, "", false); !errors.Is(err, access.ErrUnavailable) || op.Asked("/.well-known/openid-configuration") != 0 {
			t.Errorf("%v", err)
		}
	})
}

// TestO14_KnownProviderGoesDown: discovery that was done stays good.
func TestO14_KnownProviderGoesDown(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	honest(t, p, op)
	c.add(2 * knownFor)
	op.Lie(hostileop.Switches{
		Instead:   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		InsteadOf: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/.well-known") },
	})
	if _, err := login(t, p, op); err != nil {
		t.Errorf("%v", err)
	}
}
