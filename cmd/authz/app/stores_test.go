package app

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/slapd"
	"github.com/perijove/perijove/test/wait"
)

// own asks one of authz's own pages as Envoy passes a request on.
func (r *replica) own(t *testing.T, method, path, user, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://hub.test"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{contract.HeaderUser: user, contract.HeaderXSRF: "x", contract.XSRFHeader: "x", "Content-Type": "application/json"} {
		req.Header.Set(key, value)
	}
	res, err := r.pages.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, out.String()
}

// byToken asks whether a script may enter alice's server.
func (r *replica) byToken(t *testing.T, token string) int {
	t.Helper()
	route := metadata.AppendToOutgoingContext(t.Context(), contract.MetadataRoute, server("alice"))
	res, err := r.checks.Check(route, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: "/user/alice/api", Host: "hub.test", Headers: map[string]string{"authorization": "token " + token},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetOkResponse() != nil {
		return http.StatusOK
	}
	return int(res.GetDeniedResponse().GetStatus().GetCode())
}

// TestReplicasAgreeOnUsers: what one replica of the whole service learns of a user, the
// other knows within five seconds: a token made and revoked (S12), sessions ended (V3), an
// account that the directory locked (V4), and all of it after a restart.
func TestReplicasAgreeOnUsers(t *testing.T) {
	t.Parallel()
	ldap := slapd.Start(t)
	sessionKey, passKey := keys.Files(t)
	api := locking.NewClientset()
	a := start(t, newConfig(t, sessionKey, passKey, directory(ldap)), api).ready(t)
	b := start(t, newConfig(t, sessionKey, passKey, directory(ldap)), api).ready(t)
	alice := jar{}
	if page, text := a.login(t, alice, "alice", "alice-password", "/user/alice/lab"); page.StatusCode != 303 {
		t.Fatalf("login: %d %s", page.StatusCode, text)
	}
	status, text := a.own(t, "POST", "/hub/api/users/alice/tokens", "alice", `{"note":"ci","scopes":["self"]}`)
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(text), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	if a.byToken(t, made.Token) != 200 || a.byToken(t, made.Token[:46]+"_") != 401 {
		t.Error("the replica that made the token does not know it, or takes any")
	}
	wait.Within(t, 5*time.Second, "the other replica takes the token", func() bool { return b.byToken(t, made.Token) == 200 })
	c := start(t, newConfig(t, sessionKey, passKey, directory(ldap)), api).ready(t)
	if c.byToken(t, made.Token) != 200 {
		t.Error("a replica that starts later does not know the token")
	}
	if status, text := b.own(t, "DELETE", "/hub/api/users/alice/tokens/"+made.ID, "alice", ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	wait.Within(t, 5*time.Second, "all replicas refuse the token", func() bool {
		return a.byToken(t, made.Token) == 401 && b.byToken(t, made.Token) == 401 && c.byToken(t, made.Token) == 401
	})

	entered := func(r *replica) int {
		status, _, _ := r.check(t, alice.header("/user/alice/x"), "", "/user/alice/x", server("alice"))
		return status
	}
	if entered(a) != 200 || entered(b) != 200 || entered(c) != 200 {
		t.Error("negative control: alice may enter")
	}
	if status, text := c.own(t, "DELETE", "/hub/api/users/alice/sessions", "alice", ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	wait.Within(t, 5*time.Second, "the session is over on all replicas", func() bool {
		return entered(a) == 401 && entered(b) == 401 && entered(c) == 401
	})
}

// TestNewKeysReachTheService: a key that is put beside the others opens sessions without a
// restart; what only it sealed was refused before.
func TestNewKeysReachTheService(t *testing.T) {
	t.Parallel()
	sessionKey, passKey := keys.Files(t)
	fresh := bytes.Repeat([]byte{7}, session.MinSecret)
	ring, err := session.NewRing(fresh)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.Seal(session.New(access.User{Name: "alice"}, "ldap", time.Now(), time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cfg := newConfig(t, sessionKey, passKey, directory(slapd.Start(t)))
	cfg.SessionKeyFiles = []string{sessionKey + "*"}
	r := start(t, cfg, locking.NewClientset()).ready(t)
	status := func() int {
		status, _, _ := r.check(t, contract.CookieSession+"="+sealed, "", "/user/alice/x", server("alice"))
		return status
	}
	if status() != 401 {
		t.Fatal("negative control: nobody knows the key yet")
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(sessionKey), "session-20260101T0000Z.key"), fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	wait.Within(t, 3*keysEvery, "the new key opens sessions", func() bool { return status() == 200 })
}

// follow keeps s up to date until the test ends, and returns once everything is loaded.
func follow(t *testing.T, s stores) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	t.Cleanup(func() { cancel(); _ = g.Wait() })
	g.Go(func() error { return s.accounts.Run(ctx) })
	g.Go(func() error { return s.revoked.Run(ctx) })
	if !s.waitSynced(ctx, telemetry.NewHealth(checkRevocations, checkAccounts)) {
		t.Fatal("nothing is loaded")
	}
	return ctx
}

// login records a login of user.
func (s stores) login(t *testing.T, user access.User, links []identity.Link, method, refresh string) session.Session {
	t.Helper()
	begun := session.New(user, method, time.Now(), time.Hour)
	if _, err := s.keeper.LogIn(t.Context(), liveness.Login{
		User: user, Links: links, Refresh: refresh,
		Session: account.Session{ID: begun.ID, Method: method, Since: begun.Since, Expires: begun.Expires, LastSeen: begun.Since},
	}); err != nil {
		t.Fatal(err)
	}
	return begun
}

// overAfterUse has the user of a session active and asked about, and reports whether the
// session is over then.
func (s stores) overAfterUse(ctx context.Context, of session.Session) bool {
	s.keeper.Seen(of, true)
	s.keeper.RecheckActive(ctx)
	_, ok := s.keeper.User(of)
	return !ok
}
