package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/slapd"
)

// TestL10_LiveSessionsFollowTheDirectory: people who are logged in are disabled, thrown
// out of their group, deleted or made administrators in a real directory. What it says
// holds from the next check on; a directory that is gone says nothing.
func TestL10_LiveSessionsFollowTheDirectory(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	sessionKey, passKey := keys.Files(t)
	cfg := newConfig(t, sessionKey, passKey, directory(server))
	cfg.Recheck = time.Nanosecond // every check asks
	users := newStores(cfg, fake.NewClientset(), cfg.directory(), nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx := follow(t, users)
	const alice, students = "uid=alice,ou=people," + slapd.Base, "cn=students,ou=groups," + slapd.Base
	login := func(name string) session.Session {
		t.Helper()
		user, err := cfg.directory().Check(ctx, name, name+"-password")
		if err != nil {
			t.Fatal(err)
		}
		return users.login(t, user.User, user.Links, methodLDAP, "")
	}
	over := func(s session.Session) bool { return users.overAfterUse(ctx, s) }
	for _, c := range []struct {
		what       string
		harm, heal func()
	}{
		{"disabled", func() { server.Set(t, alice, "pwdEndTime", "20200101000000Z") }, func() { server.Set(t, alice, "pwdEndTime") }},
		{"left the group", func() { server.Set(t, students, "member", "cn=Twin,ou=people,"+slapd.Base) }, func() { server.Set(t, students, "member", alice) }},
	} {
		s := login("alice")
		if over(s) {
			t.Errorf("before: %s", c.what)
		}
		c.harm()
		if !over(s) {
			t.Errorf("%s, and still in", c.what)
		}
		c.heal()
	}
	s := login("alice")
	server.Set(t, "cn=admins,ou=groups,"+slapd.Base, "member", alice)
	if over(s) || !users.keeper.Current(s.User).Admin {
		t.Error("made administrator, and nobody noticed")
	}
	bobs := login("bob")
	if err := server.Admin(t).Del(ldap.NewDelRequest("uid=bob,ou=people,"+slapd.Base, nil)); err != nil {
		t.Fatal(err)
	}
	if !over(bobs) {
		t.Error("deleted, and still in")
	}
	server.Stop()
	if over(s) {
		t.Error("a directory that is gone ends sessions")
	}
}
