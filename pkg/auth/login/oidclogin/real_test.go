package oidclogin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/provider"
)

// TestRealProvider goes through everything with a certified implementation: login, user
// info, refresh with rotation, logout from here and from there.
func TestRealProvider(t *testing.T) {
	t.Parallel()
	messages := make(chan string, 1)
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		messages <- r.PostFormValue("logout_token")
	}))
	defer rp.Close()
	op := provider.Start(t, provider.Options{Callback: "http://hub.test/hub/oauth_callback/op", LogoutMessages: rp.URL + "/hub/oauth_logout/op"})
	p := at(t, op)
	browser := op.Browser()
	enter := func(browser *http.Client, name string) (Login, error) {
		location, sealed, err := p.Begin(t.Context(), "http://hub.test/hub/oauth_callback/op", "", false)
		if err != nil {
			t.Fatal(err)
		}
		back, err := url.Parse(op.Login(browser, location, name))
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := p.Finish(t.Context(), back.Query(), sealed)
		return l, err
	}
	l, err := enter(browser, "dora")
	if err != nil || l.User.Name != "dora" || l.User.DisplayName != "Dora Diaz" || l.User.Admin || l.SID == "" || l.Refresh == "" {
		t.Fatalf("%+v %v", l, err)
	}
	if greta, err := enter(op.Browser(), "greta"); err != nil || !greta.User.Admin {
		t.Errorf("%+v %v", greta, err)
	}
	if hugo, err := enter(op.Browser(), "hugo"); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("%+v %v", hugo, err)
	}

	refresh := l.Refresh
	for range 2 { // the second time with the rotated token
		var user access.User
		if user, refresh, err = p.Refresh(t.Context(), refresh, l.Subject); err != nil || user.Name != "dora" {
			t.Fatalf("refresh: %+v %v", user, err)
		}
	}
	op.Change(func(people map[string]provider.Person) {
		d := people["dora"]
		d.Groups = []string{"admins"}
		people["dora"] = d
	})
	user, _, err := p.Refresh(t.Context(), refresh, l.Subject)
	if err != nil || !user.Admin {
		t.Errorf("regrouped: %+v %v", user, err)
	}

	address, ok := p.LogoutURL(t.Context(), l.Hint, "http://hub.test/hub/logout")
	if !ok {
		t.Fatal("the provider offers no logout")
	}
	if back := op.Logout(browser, address); back != "http://hub.test/hub/logout" {
		t.Errorf("back at %s", back)
	}
	var message string
	select {
	case message = <-messages: // it is sent before the browser is
	default:
		t.Fatal("no logout message")
	}
	ended, err := p.VerifyLogout(t.Context(), message)
	if err != nil || ended.SID != l.SID {
		t.Errorf("message: %+v %v", ended, err)
	}

	again, err := enter(browser, "dora")
	if err != nil {
		t.Fatal(err)
	}
	op.Change(func(people map[string]provider.Person) { delete(people, "dora") })
	if _, _, err := p.Refresh(t.Context(), again.Refresh, l.Subject); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("O15 removed: %v", err)
	}
}

// at is our view of a real provider.
func at(t *testing.T, op *provider.Provider) *Provider {
	t.Helper()
	cfg := strict()
	cfg.ID, cfg.Name, cfg.Issuer, cfg.ClientID, cfg.ClientSecretFile = "op", "Provider", op.Issuer, provider.ClientID, op.SecretFile
	cfg.Scopes, cfg.AllowedGroups = []string{"profile", "email", "groups"}, []string{"students", "staff"}
	var f config.Faults
	cfg.Validate("oidc[0]", &f)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return patient(New(cfg, keys.Sessions(t), time.Now))
}
