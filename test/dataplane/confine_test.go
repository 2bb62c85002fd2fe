package dataplane

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server"
)

// beyond are response headers by which a server would act on the whole origin.
var beyond = []string{
	"Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins", "Expect-Ct", "Alt-Svc", "Nel", "Report-To", "Reporting-Endpoints",
	"Origin-Agent-Cluster", "Set-Login", "Secure-Session-Registration", "Sec-Session-Registration", "Use-As-Dictionary",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Private-Network",
	"X-Perijove-User", "X-Perijove-Anything",
}

// S6: a server's answer acts on that server only; headers about the answer itself stay.
func TestS6_ServersActOnThemselvesOnly(t *testing.T) {
	s, up, alice := withAlice(t)
	s.addPod("web", server.ID{User: "alice", Name: "web"}, up.addr)
	s.routed("/user/alice/web/", true)
	s.knowsKeys()
	stay := []string{"Content-Security-Policy", "Cross-Origin-Opener-Policy", "X-Frame-Options", "Cache-Control", "Etag", "Link", "X-Application"}
	query := url.Values{}
	for _, name := range append(stay, beyond...) {
		query[name] = []string{"one", "two"}
	}
	for _, cookie := range []string{"/user/alice/", "/hub/"} { // by the pass, and by authz
		r := s.raw("GET", "/user/alice/s6?"+query.Encode(), "Cookie: "+alice.cookies(cookie))
		if r.code != 200 {
			t.Fatalf("answer %d", r.code)
		}
		for _, name := range beyond {
			if got := r.header.Values(name); len(got) != 0 {
				t.Errorf("%s reaches the browser: %q", name, got)
			}
		}
		for _, name := range stay { // negative control
			if got := r.header.Values(name); len(got) == 0 {
				t.Errorf("%s is lost", name)
			}
		}
	}
}

// S6: a service worker may control its own server's pages only.
func TestS6_ServiceWorkersStayAtHome(t *testing.T) {
	s, up, alice := withAlice(t)
	s.addPod("web", server.ID{User: "alice", Name: "web"}, up.addr)
	s.routed("/user/alice/web/", true)
	s.knowsKeys()
	for _, c := range []struct {
		base, asks string
		may        bool
	}{
		{"/user/alice/", "/user/alice/", true},
		{"/user/alice/", "/user/alice/vscode/", true},
		{"/user/alice/", "/user/alice/a.b/..c/", true},
		{"/user/alice/web/", "/user/alice/web/", true},
		{"/user/alice/web/", "/user/alice/", false},
		{"/user/alice/web/", "/user/alice/webx/", false},
		{"/user/alice/", "/", false},
		{"/user/alice/", "/hub/", false},
		{"/user/alice/", "/user/bob/", false},
		{"/user/alice/", "/user/alice", false},
		{"/user/alice/", "/user/alice/../bob/", false},
		{"/user/alice/", "/user/alice/..", false},
		{"/user/alice/", "/user/alice/%2e%2e/bob/", false},
		{"/user/alice/", `/user/alice/..\bob/`, false},
		{"/user/alice/", "/user/alice//x", false},
		{"/user/alice/", "./", false},
		{"/user/alice/", "https://hub.test:8000/user/alice/", false},
	} {
		r := s.raw("GET", c.base+"sw.js?"+url.Values{"Service-Worker-Allowed": {c.asks}}.Encode(), "Cookie: "+alice.cookies(c.base))
		want := ""
		if c.may {
			want = c.asks
		}
		if got := r.get("Service-Worker-Allowed"); r.code != 200 || got != want {
			t.Errorf("below %s, asked for %s: %d, allowed %q, want %q", c.base, c.asks, r.code, got, want)
		}
	}
}

// S6: carol visits bob's server, whose page asks the browser to forget everything about the
// origin. She stays logged in.
func TestS6_ClearSiteDataEndsNoSession(t *testing.T) {
	s := newTLSEnv(t)
	s.addPod("jupyter-bob", server.ID{User: "bob"}, newUpstream(t, "10.99.0.2", "bob").addr)
	carol := s.chromium()
	s.clearingSite(carol) // negative control: this browser does what it is asked
	carol.login("carol")
	carol.open(s.base() + "/user/bob/x?Clear-Site-Data=" + url.QueryEscape(`"cookies", "storage"`))
	carol.until("bob's page", `document.body?.innerText.includes("marker")`)
	carol.open(s.base() + "/hub/home")
	carol.until("the page behind the login", `location.pathname === "/hub/home"`)
}

// clearingSite is a site of its own that sets a cookie and has it cleared.
func (s *env) clearingSite(b *tab) {
	s.t.Helper()
	files := s.ca.Issue("clear.test", time.Hour)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:8443")
	if err != nil {
		s.t.Fatal(err)
	}
	srv := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			switch r.URL.Path {
			case "/set":
				w.Header().Set("Set-Cookie", "kept=yes; Path=/")
			case "/clear":
				w.Header().Set("Clear-Site-Data", `"cookies", "storage"`)
			}
			_, _ = io.WriteString(w, "cookies: "+r.Header.Get("Cookie")+";")
		}),
	}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	s.t.Cleanup(func() { _ = srv.Close() })
	const site = "https://clear.test:8443"
	b.open(site + "/set")
	b.open(site + "/show")
	b.until("the cookie", `document.body?.innerText.includes("kept=yes")`)
	b.open(site + "/clear")
	b.open(site + "/show")
	if text := b.eval(`document.body.innerText`); strings.Contains(text, "kept") {
		s.t.Fatalf("negative control: this browser does not obey Clear-Site-Data: %s", text)
	}
}
