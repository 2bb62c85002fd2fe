package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/server/access"
)

// TestWire shows that the fake is one that people can log in with.
func TestWire(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	user, err := w.login(t).Check(context.Background(), "alice", "pw")
	if err != nil || user.Name != "alice" || !slices.Equal(user.Groups, []string{"students"}) {
		t.Fatalf("%+v, %v", user, err)
	}
	want := []string{
		"clear StartTLS", "TLS bind cn=service", "TLS search ou=people (uid=alice)", "clear StartTLS", "TLS bind uid=alice,ou=people",
		"TLS search ou=people (&(uid=alice)(uid=*))", "TLS search ou=groups (member=uid=alice,ou=people)",
	}
	if diff := cmp.Diff(want, w.seen()); diff != "" {
		t.Error(diff)
	}
}

// TestL3_SameExchanges counts what the directory is asked, with a password that is
// wrong: nothing tells whether the name exists, is disabled or belongs to many groups.
func TestL3_SameExchanges(t *testing.T) {
	t.Parallel()
	asked := map[string][]string{}
	texts := map[string]bool{}
	for name, change := range map[string]func(r request) []byte{
		"exists":  nil,
		"unknown": func(r request) []byte { return result(r.id, ldap.ApplicationSearchResultDone, 0) },
		"disabled": func(r request) []byte {
			return append(entryPacket(r.id, "uid=alice,ou=people", "nsAccountLock", "true"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
		},
		"no name": func(r request) []byte {
			return append(entryPacket(r.id, "uid=alice,ou=people", "uid"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
		},
	} {
		w := newWire(t)
		w.answer = func(r request) []byte {
			switch {
			case r.op == ldap.ApplicationSearchRequest && change != nil:
				return change(r)
			case r.op == ldap.ApplicationBindRequest && r.fields != "cn=service":
				return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
			}
			return w.honest(r)
		}
		_, err := w.login(t).Check(context.Background(), "alice", "pw")
		if !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
		texts[fmt.Sprint(err)] = true
		for _, r := range w.seen() {
			words := strings.Fields(r)
			asked[name] = append(asked[name], strings.Join(words[:2], " "))
		}
	}
	for name, got := range asked {
		if diff := cmp.Diff(asked["exists"], got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if len(texts) != 1 {
		t.Errorf("several answers: %v", texts)
	}
}
