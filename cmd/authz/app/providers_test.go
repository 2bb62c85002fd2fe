package app

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
	"github.com/perijove/perijove/test/keys"
)

func providerConfig(op *hostileop.OP) oidclogin.Config {
	cfg := oidclogin.Config{
		ID: "op", Name: "Provider", Issuer: op.Issuer(), ClientID: hostileop.ClientID,
		Claims:        oidclogin.Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"},
		AllowedGroups: []string{"students"}, AdminGroups: []string{"admins"},
	}
	cfg.ClientSecretFile, cfg.CAFile = op.Files()
	return cfg
}

// TestO15_RecheckAtTheProvider: what the provider says today holds from now on.
func TestO15_RecheckAtTheProvider(t *testing.T) {
	t.Parallel()
	op := hostileop.Start(t, time.Now)
	sessionKey, _ := keys.Files(t)
	cfg := Config{OIDC: []oidclogin.Config{providerConfig(op)}, SessionKeyFiles: []string{sessionKey}}
	boxes, err := cfg.sessionRing()
	if err != nil {
		t.Fatal(err)
	}
	providers := cfg.providers(boxes)
	recheck := recheckAt(providers)
	account := account.Account{
		Name: "alice-of-old", Groups: []string{"known"}, Links: []identity.Link{{Issuer: op.Issuer(), Subject: "subject-of-alice"}}, Refresh: loginFor(t, providers[0], op).Refresh,
	}
	answer, err := recheck(t.Context(), account, time.Time{})
	if err != nil || answer.User.Name != "alice-of-old" || answer.User.Admin || answer.Refresh == "" || answer.Refresh == account.Refresh {
		t.Fatalf("%+v %v", answer, err)
	}
	account.Refresh = answer.Refresh
	op.Person(map[string]any{"groups": []string{"admins"}})
	if answer, err = recheck(t.Context(), account, time.Time{}); err != nil || !answer.User.Admin {
		t.Errorf("V4: a new administrator: %+v %v", answer, err)
	}
	account.Refresh = answer.Refresh
	op.Lie(hostileop.Switches{Instead: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }})
	if answer, err = recheck(t.Context(), account, time.Time{}); !errors.Is(err, access.ErrUnavailable) || answer.Refresh != account.Refresh {
		t.Errorf("down: %+v %v", answer, err)
	}
	op.Lie(hostileop.Switches{})
	op.Revoke()
	if answer, err = recheck(t.Context(), account, time.Time{}); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("revoked: %+v %v", answer, err)
	}
	account.Refresh = ""
	if answer, err = recheck(t.Context(), account, time.Time{}); err != nil || answer.User.Groups[0] != "known" {
		t.Errorf("nothing to ask with: %+v %v", answer, err)
	}
	account.Links[0].Issuer = "https://gone.test"
	if _, err = recheck(t.Context(), account, time.Time{}); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("a provider that is no longer asked: %v", err)
	}
}

func loginFor(t *testing.T, p *oidclogin.Provider, op *hostileop.OP) oidclogin.Login {
	t.Helper()
	location, sealed, err := p.Begin(t.Context(), "https://hub.test/hub/oauth_callback/op", "", false)
	if err != nil {
		t.Fatal(err)
	}
	res, err := op.Client().Get(location)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only its header is read
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	login, _, err := p.Finish(t.Context(), back.Query(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	return login
}

func TestProviderFaults(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out := runMain(t, `
oidc:
- {id: UPPER, issuer: "http://op.test", scopes: ["a b"], username: {domain: "Example.org", prefix: "a/"}, adminGroups: ["*"]}
- {id: a, name: A, issuer: "https://op.test", clientID: x, clientSecretFile: /nowhere, caFile: /nowhere, claims: {username: u}, allowedGroups: [x]}
- {id: a, name: A, issuer: "https://op.test", clientID: x, clientSecretFile: `+secret+`, claims: {username: u}, allowedGroups: ["*"]}
- {id: b, name: B, issuer: "http://127.0.0.1:9/x", clientID: x, clientSecretFile: `+secret+`, claims: {username: u}, allowedGroups: ["*"]}
`)
	for _, key := range []string{
		"oidc[0].id", "oidc[0].name", "oidc[0].issuer", "oidc[0].clientID", "oidc[0].clientSecretFile", "oidc[0].claims.username", "oidc[0].claims.groups", "oidc[0].scopes[0]",
		"oidc[0].username.domain", "oidc[0].username.prefix", "oidc[0].allowedGroups", "oidc[0].adminGroups[0]",
		"oidc[1].clientSecretFile", "oidc[1].caFile", "oidc[1].claims.groups", "oidc[2].id", "oidc[2].issuer",
	} {
		if !strings.Contains(out, "\n  "+key+": ") {
			t.Errorf("%s is not reported in\n%s", key, out)
		}
	}
	if strings.Contains(out, "oidc[3]") || strings.Contains(out, "ldap.") {
		t.Errorf("faults where none are:\n%s", out)
	}
	if _, out := runMain(t, "publicURL: https://hub.test\n"); !strings.Contains(out, "ldap.urls: ") {
		t.Errorf("neither directory nor provider: %s", out)
	}
	cfg := Config{OIDC: []oidclogin.Config{{}}, LDAP: ldaplogin.Config{StartTLS: true}}
	if !cfg.hasLDAP() {
		t.Error("a directory that is configured in part is passed over")
	}
}
