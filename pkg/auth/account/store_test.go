package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/wait"
)

const ns = "perijove"

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func settings() Settings {
	return Settings{Namespace: ns, Release: "rel", Now: now, Log: slog.New(slog.DiscardHandler)}
}

// replica runs one Store over client until the test ends. It waits for its watch too:
// what happens between a list and a watch is lost with a fake API.
func replica(t *testing.T, client *fake.Clientset) *Store {
	t.Helper()
	s, before := New(client, settings()), watches(client)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	wait.Closed(t, "synced", s.Synced())
	wait.Until(t, "the replica watches", func() bool { return watches(client) > before })
	return s
}

func watches(client *fake.Clientset) (n int) {
	for _, action := range client.Actions() {
		if action.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

// nothing is a login that changes no more than whose the name is.
func nothing(*Account) {}

func update(t *testing.T, s *Store, name string, change func(*Account)) {
	t.Helper()
	if err := s.Update(t.Context(), name, func(a *Account) error { change(a); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestOneReplicasWritesAreSeenByAll(t *testing.T) {
	client := locking.NewClientset()
	a, b := replica(t, client), replica(t, client)
	update(t, a, "alice", func(acc *Account) { acc.Groups, acc.Admin = []string{"staff"}, true })
	if got, ok := a.Get("alice"); !ok || !got.Admin {
		t.Errorf("the writer itself sees %+v", got)
	}
	wait.Until(t, "the other replica sees it", func() bool { got, ok := b.Get("alice"); return ok && got.Admin })
	update(t, b, "alice", func(acc *Account) { acc.Admin = false })
	wait.Until(t, "the first replica sees the answer", func() bool { got, _ := a.Get("alice"); return !got.Admin })

	c := replica(t, client) // a restart
	if got, ok := c.Get("alice"); !ok || got.Groups[0] != "staff" {
		t.Errorf("after a restart: %+v", got)
	}
	if err := client.CoreV1().Secrets(ns).Delete(t.Context(), "rel-account-alice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "a deleted account is gone", func() bool { _, ok := c.Get("alice"); return !ok })
}

// TestNoUpdateIsLost: fifty changes from two replicas at once, each on top of the other.
func TestNoUpdateIsLost(t *testing.T) {
	client := locking.NewClientset()
	stores := []*Store{replica(t, client), replica(t, client)}
	const writers, each = 5, 10
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				for { // more writers than an Update retries for
					err := stores[w%2].Update(context.Background(), "alice", func(a *Account) error {
						a.Groups = append(a.Groups, id)
						return nil
					})
					if err == nil {
						break
					}
				}
			}
		})
	}
	running.Wait()
	for _, s := range stores {
		wait.Until(t, "all changes are there", func() bool { a, _ := s.Get("alice"); return len(a.Groups) == writers*each })
	}
}

func TestWritesOnlyWhatChanged(t *testing.T) {
	client := locking.NewClientset()
	s := replica(t, client)
	update(t, s, "alice", func(a *Account) { a.Admin = true })
	writes := 0
	client.PrependReactor("update", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		writes++
		return false, nil, nil
	})
	update(t, s, "alice", func(a *Account) { a.Admin = true })
	if writes != 0 {
		t.Errorf("%d writes for no change", writes)
	}
	update(t, s, "alice", func(a *Account) { a.Admin = false })
	if writes != 1 {
		t.Errorf("%d writes for one change", writes)
	}
	wrong := errors.New("no")
	if err := s.Update(t.Context(), "alice", func(*Account) error { return wrong }); !errors.Is(err, wrong) || writes != 1 {
		t.Errorf("%v, %d writes", err, writes)
	}
	if err := s.Update(t.Context(), "../alice", func(*Account) error { return nil }); err == nil {
		t.Error("an impossible name was written")
	}
}

// TestO9_FirstComeFirstServed: the name belongs to the login that took it first, and the
// login to the name.
func TestO9_FirstComeFirstServed(t *testing.T) {
	client := locking.NewClientset()
	s := replica(t, client)
	oidc, ldap := identity.Link{Issuer: "https://idp.test", Subject: "123"}, identity.Named("alice")
	for _, c := range []struct {
		what, want, name string
		link             identity.Link
		err              error
	}{
		{"the first login gets the name", "alice", "alice", oidc, nil},
		{"again", "alice", "alice", oidc, nil},
		{"the directory's alice is another person", "alice", "", ldap, ErrTaken},
		{"the same subject at another issuer too", "alice", "", identity.Link{Issuer: "https://other.test", Subject: "123"}, ErrTaken},
		{"a renamed person keeps the name", "alicia", "alice", oidc, nil},
		{"a free name", "alice2", "alice2", ldap, nil},
	} {
		name, err := s.Claim(t.Context(), []identity.Link{c.link}, c.want, nothing)
		if name != c.name || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.what, name, err)
		}
	}
	if _, ok := s.Get("alicia"); ok {
		t.Error("a name that nobody got has an account")
	}
	// A replica that has seen nothing yet finds the links by their labels.
	blind := New(client, settings())
	if name, err := blind.Claim(t.Context(), []identity.Link{oidc}, "eve", nothing); err != nil || name != "alice" {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := blind.Claim(t.Context(), []identity.Link{{}}, "eve", nothing); err == nil {
		t.Error("a login without issuer and subject was linked")
	}
}

// TestO9_AClaimInheritsNothing: an account that nobody is linked to may hold what somebody
// else left there.
func TestO9_AClaimInheritsNothing(t *testing.T) {
	s := replica(t, locking.NewClientset())
	update(t, s, "alice", func(a *Account) {
		a.Refresh = "sealed"
		a.AddSession(open("s", 0), now(), idle)
		if err := a.AddToken(Token{ID: "t", Hash: "h", Expires: now().Add(time.Hour)}, now()); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 { // the second login keeps what is its own
		if _, err := s.Claim(t.Context(), []identity.Link{identity.Named("alice")}, "alice", nothing); err != nil {
			t.Fatal(err)
		}
		a, _, err := s.Load(t.Context(), "alice")
		if err != nil || len(a.Sessions)+len(a.Tokens) != 0 || a.Refresh != "" {
			t.Errorf("%+v %v", a, err)
		}
	}
}

func TestO9_ManyAtOnceOneWins(t *testing.T) {
	client := locking.NewClientset()
	stores := []*Store{replica(t, client), replica(t, client)}
	var running sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		running.Go(func() {
			_, err := stores[i%2].Claim(context.Background(), []identity.Link{identity.Entry("entryUUID", fmt.Sprint(i))}, "alice", nothing)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrTaken) {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if won != 1 {
		t.Errorf("%d logins got one name", won)
	}
}

func TestSealedPartsAreNotHeldInMemory(t *testing.T) {
	s := replica(t, locking.NewClientset())
	update(t, s, "alice", func(a *Account) {
		a.Refresh = "sealed"
		a.AddSession(Session{ID: "s", Expires: now().Add(time.Hour), LastSeen: now(), IDTokenHint: "hint"}, now(), time.Hour)
	})
	got, _ := s.Get("alice")
	if got.Refresh != "" || got.Sessions[0].IDTokenHint != "" {
		t.Errorf("%+v", got)
	}
	got, ok, err := s.Load(t.Context(), "alice")
	if err != nil || !ok || got.Refresh != "sealed" || got.Sessions[0].IDTokenHint != "hint" {
		t.Errorf("%+v %v", got, err)
	}
	if _, ok, err := s.Load(t.Context(), "nobody"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}

// TestLateEventsChangeNothing: what the watch still brings of before our own write must
// not undo it.
func TestLateEventsChangeNothing(t *testing.T) {
	v := newView()
	v.set("u", stored{Account{Name: "alice", Tokens: []Token{{ID: "1", Hash: "h"}}}, 1})
	v.set("u", stored{Account{Name: "alice"}, 2})
	v.set("u", stored{Account{Name: "alice", Tokens: []Token{{ID: "1", Hash: "h"}}}, 1})
	if _, _, ok := v.byToken("h"); ok {
		t.Error("a late event brought a revoked token back")
	}
	v.set("another object", stored{Account{Name: "alice", Tokens: []Token{{ID: "2", Hash: "h2"}}}, 1})
	if _, _, ok := v.byToken("h2"); !ok {
		t.Error("an account that was made anew is not seen")
	}
}

// TestUnreadableAccountHidesNoOther: it is reported, keeps what was known, and is not
// overwritten.
func TestUnreadableAccountHidesNoOther(t *testing.T) {
	client := locking.NewClientset()
	s := replica(t, client)
	update(t, s, "alice", func(a *Account) { a.Disabled = true })
	update(t, s, "bob", func(a *Account) { a.Admin = true })
	secret, err := client.CoreV1().Secrets(ns).Get(t.Context(), "rel-account-alice", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data[dataKey] = bytes.Replace(secret.Data[dataKey], []byte(`"alice"`), []byte(`"bob"`), 1)
	if _, err := client.CoreV1().Secrets(ns).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	update(t, s, "bob", func(a *Account) { a.DisplayName = "Bob" })
	wait.Until(t, "bob is seen", func() bool { a, _ := s.Get("bob"); return a.DisplayName == "Bob" && a.Admin })
	if a, _ := s.Get("alice"); !a.Disabled {
		t.Error("the last known state was forgotten")
	}
	if err := s.Update(t.Context(), "alice", func(*Account) error { return nil }); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("%v", err)
	}
	fresh := replica(t, client)
	if _, ok := fresh.Get("bob"); !ok {
		t.Error("one broken account hides the others")
	}
}

func TestLinkKeysDoNotCollide(t *testing.T) {
	for _, pair := range [][2]identity.Link{{{Issuer: "a", Subject: "bc"}, {Issuer: "ab", Subject: "c"}}, {{Issuer: "1:a"}, {Issuer: "1", Subject: "a"}}} {
		if linkKey(pair[0]) == linkKey(pair[1]) {
			t.Errorf("%v and %v have one key", pair[0], pair[1])
		}
	}
}

func TestStoredFormIsStable(t *testing.T) {
	s := New(locking.NewClientset(), settings())
	secret := s.newSecret("Alice Ä")
	v := stored{Account{Name: "Alice Ä", Links: []identity.Link{identity.Named("alice")}}, 7}
	if err := s.encode(v, secret); err != nil {
		t.Fatal(err)
	}
	got, err := s.decode(secret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, got); diff != "" {
		t.Error(diff)
	}
	links := 0
	for key := range secret.Labels {
		if strings.HasPrefix(key, "perijove.dev/link-") {
			links++
		}
	}
	if links != 1 || secret.Labels["perijove.dev/account"] != "true" || secret.Labels["app.kubernetes.io/instance"] != "rel" {
		t.Errorf("%v", secret.Labels)
	}
}
