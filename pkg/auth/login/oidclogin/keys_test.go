package oidclogin

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// broken is an endpoint of keys that fails.
type broken struct{ calls int }

func (b *broken) RoundTrip(*http.Request) (*http.Response, error) {
	b.calls++
	return nil, errors.New("connection refused")
}

// TestO8_FailingKeysAreAskedForSeldom: any client may send tokens to the logout address; a
// provider that is in trouble is not asked again for each.
func TestO8_FailingKeysAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	endpoint, now := &broken{}, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cache := &keyCache{next: endpoint, now: func() time.Time { return now }}
	ask := func() {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, "https://op.test/keys", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := cache.RoundTrip(r); err == nil {
			_ = res.Body.Close()
			t.Error("an answer from nowhere")
		}
	}
	for range 50 {
		ask()
	}
	if endpoint.calls != 1 {
		t.Errorf("%d requests at one moment", endpoint.calls)
	}
	now = now.Add(keysEvery)
	ask()
	if endpoint.calls != 2 {
		t.Errorf("%d requests after %v: it is never asked again, or too often", endpoint.calls, keysEvery)
	}
}

// TestAnonymousClientsDoNotStopLogins: a client that begins logins and answers them with
// made-up codes, as often as it likes, costs the others nothing.
func TestAnonymousClientsDoNotStopLogins(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	for i := range maxStates + 10 {
		state := "made up " + time.Duration(i).String()
		began := pending{State: state, Expires: p.now().Add(StateLifetime).Unix()}
		if _, err := p.judge(began, url.Values{"state": {state}, "code": {"junk"}}); err != nil {
			t.Fatal(err)
		}
	}
	honest(t, p, op)
	// The negative control: a state is still good for one try.
	answer, sealed := begin(t, p, op)
	for i, want := range []bool{true, false} {
		if _, _, err := p.Finish(t.Context(), answer, sealed); (err == nil) != want {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
}
