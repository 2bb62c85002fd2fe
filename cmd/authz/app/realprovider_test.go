package app

import (
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/provider"
)

// TestO15_LiveSessionsFollowTheProvider: people who are logged in are regrouped and
// removed at a certified provider. What it says holds from the next check on, each time
// with the refresh token that the last check left behind.
func TestO15_LiveSessionsFollowTheProvider(t *testing.T) {
	t.Parallel()
	const callback = "https://hub.test/hub/oauth_callback/op"
	op := provider.Start(t, provider.Options{Callback: callback})
	sessionKey, passKey := keys.Files(t)
	cfg := Defaults()
	cfg.SessionKeyFiles, cfg.PassKeyFiles, cfg.Kubernetes.Namespace, cfg.Recheck = []string{sessionKey}, []string{passKey}, "perijove", time.Nanosecond
	cfg.OIDC = []oidclogin.Config{{
		ID: "op", Name: "Provider", Issuer: op.Issuer, ClientID: provider.ClientID, ClientSecretFile: op.SecretFile, Scopes: []string{"profile", "groups"},
		Claims: oidclogin.Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"}, AllowedGroups: []string{"students"}, AdminGroups: []string{"admins"},
	}}
	boxes, err := cfg.sessionRing()
	if err != nil {
		t.Fatal(err)
	}
	providers := cfg.providers(boxes)
	users := newStores(cfg, fake.NewClientset(), nil, providers, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx := follow(t, users)
	login := func() session.Session {
		t.Helper()
		location, sealed, err := providers[0].Begin(ctx, callback, "", false)
		if err != nil {
			t.Fatal(err)
		}
		back, err := url.Parse(op.Login(op.Browser(), location, "dora"))
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := providers[0].Finish(ctx, back.Query(), sealed)
		if err != nil {
			t.Fatal(err)
		}
		return users.login(t, l.User, []identity.Link{{Issuer: l.Issuer, Subject: l.Subject}}, methodOIDC, l.Refresh)
	}
	over := func(s session.Session) bool { return users.overAfterUse(ctx, s) }
	ends := func(s session.Session) bool { // on a busy machine an answer may come too late
		for range 5 {
			if over(s) {
				return true
			}
		}
		return false
	}
	groups := func(names ...string) {
		op.Change(func(all map[string]provider.Person) { d := all["dora"]; d.Groups = names; all["dora"] = d })
	}
	s := login()
	for range 3 { // the refresh token changes each time
		if over(s) {
			t.Fatal("nothing has changed, and out")
		}
	}
	groups("admins")
	if over(s) || !users.keeper.Current(s.User).Admin {
		t.Error("V4: made administrator, and nobody noticed")
	}
	groups("others")
	if !ends(s) {
		t.Error("V4: left the groups, and still in")
	}
	groups("students")
	s = login()
	if over(s) {
		t.Error("back in the group, and out")
	}
	op.Change(func(all map[string]provider.Person) { delete(all, "dora") })
	if !ends(s) {
		t.Error("O15: removed, and still in")
	}
}
