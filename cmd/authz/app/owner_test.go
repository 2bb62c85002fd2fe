package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/slapd"
	"github.com/perijove/perijove/test/wait"
)

const aliceDN = "uid=alice,ou=people," + slapd.Base

// replace deletes alice from the directory and gives her name and groups to another person.
func replace(t *testing.T, server *slapd.Server) {
	t.Helper()
	if err := server.Admin(t).Del(ldap.NewDelRequest(aliceDN, nil)); err != nil {
		t.Fatal(err)
	}
	server.Add(t, aliceDN, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {"alice"}, "cn": {"Alice Baker"}, "sn": {"Baker"}, "userPassword": {"another-password"},
	})
	server.Set(t, "cn=students,ou=groups,"+slapd.Base, "member", aliceDN)
}

// TestL9_TheNextAlice: a real directory gives alice's name to another person, while alice has
// a session and an API token. The whole service refuses both persons until the account is
// handed over, and then knows the new one only.
func TestL9_TheNextAlice(t *testing.T) {
	t.Parallel()
	directoryServer := slapd.Start(t)
	sessionKey, passKey := keys.Files(t)
	api := locking.NewClientset()
	a := start(t, newConfig(t, sessionKey, passKey, directory(directoryServer)), api).ready(t)
	alice := jar{}
	if page, text := a.login(t, alice, "alice", "alice-password", "/user/alice/lab"); page.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", page.StatusCode, text)
	}
	entered := func(j jar) int {
		status, _, _ := a.check(t, j.header("/user/alice/x"), "", "/user/alice/x", server("alice"))
		return status
	}
	if entered(alice) != http.StatusOK {
		t.Fatal("negative control: alice may enter")
	}
	replace(t, directoryServer)
	page, text := a.login(t, jar{}, "alice", "another-password", "/user/alice/lab")
	if page.StatusCode != http.StatusForbidden || !strings.Contains(text, "belongs to another person here") {
		t.Fatalf("the next alice: %d %s", page.StatusCode, text)
	}
	const secret = "perijove-account-alice"
	if err := api.CoreV1().Secrets("perijove").Delete(t.Context(), secret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next := jar{}
	wait.Until(t, "the next alice is in", func() bool {
		page, _ := a.login(t, next, "alice", "another-password", "/user/alice/lab")
		return page.StatusCode == http.StatusSeeOther
	})
	if entered(next) != http.StatusOK {
		t.Error("the next alice may not enter")
	}
	if got := entered(alice); got != http.StatusUnauthorized {
		t.Errorf("the old alice enters the new one's server: %d", got)
	}
}

// TestL9_SessionsAndTokensEndAtTheRecheck: the next alice has not come yet. The old one's
// browser and script go on until the re-check.
func TestL9_SessionsAndTokensEndAtTheRecheck(t *testing.T) {
	t.Parallel()
	directoryServer := slapd.Start(t)
	sessionKey, passKey := keys.Files(t)
	cfg := newConfig(t, sessionKey, passKey, directory(directoryServer))
	cfg.Recheck = time.Nanosecond // every check asks
	for name, c := range map[string]struct {
		known func(ldaplogin.Person) []identity.Link
		ends  bool
	}{
		"known by the id": {func(p ldaplogin.Person) []identity.Link { return p.Links }, true},
		// Negative control: this account's first re-check is too late.
		"known by the name alone": {func(p ldaplogin.Person) []identity.Link { return []identity.Link{identity.Named(p.Name)} }, false},
	} {
		users := newStores(cfg, fake.NewClientset(), cfg.directory(), nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		ctx := follow(t, users)
		replace(t, directoryServer)
		person, err := cfg.directory().Check(ctx, "alice", "another-password")
		if err != nil {
			t.Fatal(err)
		}
		s := users.login(t, person.User, c.known(person), methodLDAP, "")
		token, hash := tokens.New()
		if err := users.keeper.AddToken(ctx, "alice", account.Token{ID: "t", Hash: hash, Created: time.Now(), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		replace(t, directoryServer)
		ended := users.overAfterUse(ctx, s)
		if _, _, takes := users.keeper.Token(token); ended != c.ends || takes == c.ends {
			t.Errorf("%s: the session ended: %v, the token is taken: %v", name, ended, takes)
		}
	}
}

// TestL9_ADirectoryWithoutIDsIsTold: once, and not for a directory with ids or a failed login.
func TestL9_ADirectoryWithoutIDsIsTold(t *testing.T) {
	t.Parallel()
	named := []identity.Link{identity.Named("alice")}
	for name, c := range map[string]struct {
		links []identity.Link
		err   error
		lines int
	}{
		"no id":    {named, nil, 1},
		"ids":      {append([]identity.Link{identity.Entry("entryUUID", "1")}, named...), nil, 0},
		"no login": {nil, access.ErrCredentials, 0},
	} {
		var log bytes.Buffer
		check := proving(func(context.Context, string, string) (ldaplogin.Person, error) {
			return ldaplogin.Person{User: access.User{Name: "alice"}, Links: c.links}, c.err
		}, slog.New(slog.NewTextHandler(&log, nil)))
		for range 3 {
			if proof, err := check(t.Context(), "alice", "pw"); !errors.Is(err, c.err) || len(proof.Links) != len(c.links) {
				t.Errorf("%s: %+v, %v", name, proof, err)
			}
		}
		if n := strings.Count(log.String(), "no lasting id"); n != c.lines {
			t.Errorf("%s: %d lines", name, n)
		}
	}
}
