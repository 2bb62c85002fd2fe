package oidclogin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/test/hostileop"
	"github.com/perijove/perijove/test/keys"
)

const callback = "https://hub.test/hub/oauth_callback/op"

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newPair is a provider that can lie and our view of it.
func newPair(t *testing.T) (*Provider, *hostileop.OP, *clock) {
	t.Helper()
	c := newClock()
	op := hostileop.Start(t, c.now)
	return newProvider(t, op, "op", c), op, c
}

func newProvider(t *testing.T, op *hostileop.OP, id string, c *clock) *Provider {
	t.Helper()
	cfg := strict()
	cfg.ID, cfg.Name, cfg.Issuer, cfg.ClientID, cfg.Scopes = id, "Provider", op.Issuer(), hostileop.ClientID, []string{"profile", "openid"}
	cfg.ClientSecretFile, cfg.CAFile = op.Files()
	var f config.Faults
	cfg.Validate("oidc[0]", &f)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return patient(New(cfg, keys.Sessions(t), c.now))
}

// patient takes time out of the tests: a busy machine is not a slow provider.
func patient(p *Provider) *Provider {
	p.callTimeout, p.wholeTimeout = time.Minute, 2*time.Minute
	return p
}

// approve goes to the provider as the browser does and returns what it brings back.
func approve(t *testing.T, op *hostileop.OP, location string) url.Values {
	t.Helper()
	res, err := op.Client().Get(location)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only its header is read
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound || !strings.HasPrefix(back.String(), callback) {
		t.Fatalf("authorize: %d %v %v", res.StatusCode, back, err)
	}
	return back.Query()
}

func begin(t *testing.T, p *Provider, op *hostileop.OP) (answer url.Values, sealed string) {
	t.Helper()
	location, sealed, err := p.Begin(t.Context(), callback, "/user/alice/lab", false)
	if err != nil {
		t.Fatal(err)
	}
	return approve(t, op, location), sealed
}

// login is a whole login.
func login(t *testing.T, p *Provider, op *hostileop.OP) (Login, error) {
	t.Helper()
	answer, sealed := begin(t, p, op)
	l, _, err := p.Finish(t.Context(), answer, sealed)
	return l, err
}

// honest is the negative control of every test here: without the lie the login succeeds.
func honest(t *testing.T, p *Provider, op *hostileop.OP) Login {
	t.Helper()
	op.Lie(hostileop.Switches{})
	l, err := login(t, p, op)
	if err != nil {
		t.Fatalf("the honest login fails: %v", err)
	}
	return l
}

// refused shows that the lie ends the login with the error, and nothing else does.
func refused(t *testing.T, p *Provider, op *hostileop.OP, name string, lie hostileop.Switches, want error) {
	t.Helper()
	op.Lie(lie)
	if l, err := login(t, p, op); !errors.Is(err, want) {
		t.Errorf("%s: %+v %v, want %v", name, l.User, err, want)
	} else if text := err.Error(); strings.Contains(text, hostileop.ClientSecret) || len(text) > 600 {
		t.Errorf("S14 %s: error %q", name, text)
	}
	honest(t, p, op)
}
