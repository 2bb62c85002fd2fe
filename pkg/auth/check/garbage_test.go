package check

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	forms "github.com/perijove/perijove/pkg/auth/login"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/locking"
)

// BenchmarkLoginsWithGarbage compares logins beside 10,000 made-up cookies a second with
// logins alone (D6). The directory answers at once here, so that nothing but this process
// counts; with a real one the ratio is nearer to 1.
func BenchmarkLoginsWithGarbage(b *testing.B) {
	const garbage = 10_000 // a second
	h := newEnv(b)
	checks := h.server(b, slog.New(slog.DiscardHandler))
	quiet := slog.New(slog.DiscardHandler)
	client := locking.NewClientset()
	keeper := liveness.New(
		account.New(client, account.Settings{Namespace: "ns", Release: "rel", Now: now, Log: quiet}),
		revocation.New(client, revocation.Settings{Namespace: "ns", Secret: "rel-revocations", Now: now, Log: quiet}), prometheus.NewRegistry(),
		liveness.Settings{Idle: time.Hour, Lifetime: lifetime, Every: time.Minute, Now: now, Log: quiet})
	form := http.NewServeMux()
	forms.New(keeper, h.sessions, h.passes, pages(b), prometheus.NewRegistry(), forms.Settings{
		Check: func(context.Context, string, string) (forms.Proof, error) {
			return forms.Proof{User: user("alice"), Links: []identity.Link{identity.Named("alice")}}, nil
		},
		Method: "ldap", Site: h.site, Lifetime: lifetime, PassTTL: time.Minute, Now: now, Log: quiet,
	}).Register(form)

	foreign := newEnv(b)
	foreign.sessions.Replace(keys.Foreign(b))
	alice, sealed := foreign.session(b, "alice")
	var requests []question
	for _, cookie := range []string{contract.CookieSession + "=garbage", sealed, foreign.pass(b, alice, "alice", now())} {
		requests = append(requests, asking(with(toServer("alice", cookie), script)))
	}

	var alone, beside []time.Duration
	for b.Loop() {
		for range 10 {
			alone = append(alone, logins(b, form, 20)...)
			stop := flood(checks, requests, garbage)
			beside = append(beside, logins(b, form, 20)...)
			stop()
		}
	}
	slices.Sort(alone)
	slices.Sort(beside)
	b.ReportMetric(float64(beside[len(beside)/2])/float64(alone[len(alone)/2]), "ratio")
	b.ReportMetric(float64(alone[len(alone)/2].Microseconds()), "login-µs")
}

// flood sends so many requests a second until it is stopped.
func flood(s *Server, requests []question, rate int) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		const burst = 10 * time.Millisecond
		ticker := time.NewTicker(burst)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			for i := range rate / int(time.Second/burst) {
				_, _ = requests[i%len(requests)].to(s)
			}
		}
	})
	return func() { close(done); running.Wait() }
}

var formToken = regexp.MustCompile(`name="_xsrf"[^>]*value="([^"]*)"`)

// logins logs in n times and returns how long the form's answer took each time.
func logins(b *testing.B, form http.Handler, n int) []time.Duration {
	var took []time.Duration
	for range n {
		page := httptest.NewRecorder()
		form.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "https://hub.test/hub/login", nil))
		token := formToken.FindStringSubmatch(page.Body.String())
		if token == nil {
			b.Fatal(page.Body)
		}
		post := httptest.NewRequest(http.MethodPost, "https://hub.test/hub/login", strings.NewReader(url.Values{"username": {"alice"}, "password": {"x"}, "_xsrf": {token[1]}}.Encode()))
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		post.Header.Set("Sec-Fetch-Site", "same-origin")
		for _, c := range page.Result().Cookies() {
			post.AddCookie(c)
		}
		answer := httptest.NewRecorder()
		start := time.Now()
		form.ServeHTTP(answer, post)
		took = append(took, time.Since(start))
		if answer.Code != http.StatusSeeOther {
			b.Fatal(answer.Code, answer.Body)
		}
		time.Sleep(time.Millisecond) // let the flood go on
	}
	return took
}
