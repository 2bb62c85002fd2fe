package pages

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/login"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/provider"
	"github.com/perijove/perijove/test/wait"
)

// loginSite serves the real login pages at localhost, which may keep logins, with a provider that is another
// site to a browser (127.0.0.1).
func loginSite(t *testing.T, keep bool) (base string) {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	base = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	op := provider.Start(t, provider.Options{Callback: base + "/hub/oauth_callback/op"})

	at, err := origin.Parse(base, nil)
	check(t, err)
	sessions, passes := keys.Sessions(t), keys.Passes(t)
	renderer, err := web.New()
	check(t, err)
	client, log := fake.NewClientset(), slog.New(slog.NewJSONHandler(io.Discard, nil))
	keeper := liveness.New(
		account.New(client, account.Settings{Namespace: "perijove", Release: "perijove", Now: time.Now, Log: log}),
		revocation.New(client, revocation.Settings{Namespace: "perijove", Secret: "revocations", Now: time.Now, Log: log}),
		prometheus.NewRegistry(), liveness.Settings{Idle: time.Hour, Lifetime: time.Hour, Every: time.Minute, Now: time.Now, Log: log})
	mux := http.NewServeMux()
	mux.Handle("GET "+contract.PathStatic, web.Static())
	login.New(keeper, sessions, passes, renderer, prometheus.NewRegistry(), login.Settings{
		Providers: []*oidclogin.Provider{oidclogin.New(oidclogin.Config{
			ID: "op", Name: "Provider", Issuer: op.Issuer, ClientID: provider.ClientID, ClientSecretFile: op.SecretFile, Scopes: []string{"profile", "groups"},
			Claims: oidclogin.Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"}, AllowedGroups: []string{"students"},
		}, sessions, time.Now)},
		Site: at, Lifetime: time.Hour, PassTTL: time.Minute, KeepLoggedIn: keep, Now: time.Now, Log: log,
	}).Register(mux)
	handler = mux
	return base
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestProviderInABrowser: cookies, content security policy and the ways from site to site
// work in a real browser, in and out, twice.
func TestProviderInABrowser(t *testing.T) {
	base, ctx := loginSite(t, false), browser(t)
	enter := func(password bool) {
		do(t, ctx, chromedp.Navigate(base+"/hub/login?next=%2Fhub%2Fhome"), chromedp.WaitVisible(`a[href^="/hub/oauth_login/op"]`), chromedp.Click(`a[href^="/hub/oauth_login/op"]`))
		if password {
			do(t, ctx, chromedp.WaitVisible(`#login`), chromedp.SendKeys(`#login`, "dora"), chromedp.SendKeys(`#password`, "dora-password"), chromedp.Submit(`#password`))
		}
		arrives(t, ctx, base+"/hub/home")
	}
	loggedIn := func() bool {
		do(t, ctx, chromedp.Navigate(base+"/hub/login"))
		return !evaluate[bool](t, ctx, `location.pathname === "/hub/login"`) // somebody known is led on
	}
	enter(true)
	if !loggedIn() {
		t.Fatal("not logged in")
	}
	// Out by the address bar: the provider asks, and sends back here.
	do(t, ctx, chromedp.Navigate(base+"/hub/logout"), chromedp.WaitVisible(`button[name=logout]`), chromedp.Click(`button[name=logout]`))
	arrives(t, ctx, base+"/hub/logout")
	if loggedIn() {
		t.Error("still logged in")
	}
	enter(true) // the provider has forgotten her too
	// Out by another site's link: a page with a button, and the form leads on as well.
	do(t, ctx, chromedp.Navigate("data:text/html,<a id=out href='"+base+"/hub/logout'>out</a>"), chromedp.Click(`#out`), chromedp.WaitVisible(`form[action="/hub/logout"] button`))
	if !evaluate[bool](t, ctx, `location.href === "`+base+`/hub/logout"`) {
		t.Error("another site's link logs out without being asked")
	}
	do(t, ctx, chromedp.Click(`form[action="/hub/logout"] button`), chromedp.WaitVisible(`button[name=logout]`))
	// Without pressing it the provider still knows her, and the button here needs no password.
	enter(false)
}

// arrives waits until the browser is at address.
func arrives(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	var at string
	if !wait.Poll(limit, func() bool {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		at, _ = chromedp.Run(limited, chromedp.Location())
		return at == address
	}) {
		t.Fatalf("the browser is at %s, not at %s", at, address)
	}
}

// TestKeptLogin: a user who ticks the box, by the keyboard, has a cookie that outlives the browser,
// although the login goes through another site; one who does not has none.
func TestKeptLogin(t *testing.T) {
	base := loginSite(t, true)
	for _, tick := range []bool{true, false} {
		ctx := browser(t)
		do(t, ctx, chromedp.Navigate(base+"/hub/login?next=%2Fhub%2Fhome"), chromedp.WaitVisible(`input[name=keep]`), chromedp.Focus(`input[name=keep]`))
		if tick {
			do(t, ctx, chromedp.KeyEvent(" "))
		}
		do(t, ctx, chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"))
		do(t, ctx, chromedp.WaitVisible(`#login`), chromedp.SendKeys(`#login`, "dora"), chromedp.SendKeys(`#password`, "dora-password"), chromedp.Submit(`#password`))
		arrives(t, ctx, base+"/hub/home")
		session := cookieNamed(t, ctx, contract.CookieSession)
		if session == nil || session.Session == tick {
			t.Errorf("ticked %v: the session's cookie is %+v", tick, session)
		}
	}
}

// cookieNamed returns a cookie that the browser keeps, or nil.
func cookieNamed(t *testing.T, ctx context.Context, name string) (found *network.Cookie) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		all, err := cdp.Call(ctx, tab, storage.GetCookies, storage.GetCookiesParams{})
		for _, c := range all.Cookies {
			if c.Name == name {
				found = c
			}
		}
		return err
	}))
	return found
}
