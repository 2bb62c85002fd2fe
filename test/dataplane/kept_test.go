package dataplane

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	authzapp "github.com/perijove/perijove/cmd/authz/app"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// closed is what closing the browser does to the cookies in it.
func (p *person) closed() {
	cookies := p.http.Jar.(*jar)
	cookies.cookies = slices.DeleteFunc(cookies.cookies, func(c stored) bool { return c.MaxAge == 0 && c.Expires.IsZero() })
}

// A user who asked to stay logged in gets to the server after the browser was closed, with one
// host and with a host for each user. Who did not, or asks where the site does not allow it,
// sees the login.
func TestKeptLoginOutlivesTheBrowser(t *testing.T) {
	for name, c := range map[string]struct {
		domain, page string
		allowed      bool
	}{
		"one host":                {"", "/user/alice/lab", true},
		"a host for each":         {"hub.test", aliceHost + "/user/alice/lab", true},
		"not allowed by the site": {"", "/user/alice/lab", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTLSEnvWith(t, func(s *env) {
				s.userDomain = c.domain
				s.adjustAuthz = func(cfg *authzapp.Config) { cfg.KeepLoggedIn = c.allowed }
			})
			s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
			kept, other := s.loginWith("alice", url.Values{"keep": {"true"}}), s.login("alice")
			for _, p := range []*person{kept, other} {
				wait.Until(t, "alice's server answers", func() bool { return p.visit(c.page).code == http.StatusOK })
				p.closed()
			}
			if entered := !asksForPassword(kept.visit(c.page)); entered != c.allowed {
				t.Errorf("who asked to stay logged in gets in: %v, want %v", entered, c.allowed)
			}
			if !asksForPassword(other.visit(c.page)) {
				t.Error("a login that was not kept outlives the browser")
			}
		})
	}
}

func asksForPassword(r reply) bool { return strings.Contains(r.body, `name="password"`) }
