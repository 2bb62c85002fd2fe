package app

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/slapd"
	"github.com/perijove/perijove/test/wait"
)

// replica is one running authz.
type replica struct {
	checks authv3.AuthorizationClient
	health healthv1.HealthClient
	pages  *http.Client
	base   string // of the private port
	log    *logs.Buffer
}

func directory(s *slapd.Server) ldaplogin.Config {
	return ldaplogin.Config{
		URLs: []string{s.LDAP}, StartTLS: true, CAFile: s.CAFile, BindDN: slapd.BindDN, BindPasswordFile: s.PasswordFile,
		UserSearch:        ldaplogin.Search{Base: "ou=people," + slapd.Base, Filter: "(uid={username})"},
		UsernameAttribute: "uid", DisplayNameAttribute: "cn",
		GroupSearch: ldaplogin.GroupSearch{Base: "ou=groups," + slapd.Base, Filter: "(member={dn})"}, GroupNameAttribute: "cn",
		AllowedGroups: []string{"students", "staff"}, AdminGroups: []string{"admins"},
	}
}

// unasked is a directory that no test asks.
func unasked() ldaplogin.Config {
	return ldaplogin.Config{
		BindTemplate: "uid={username},dc=test", DisplayNameAttribute: "cn", URLs: []string{"ldaps://ldap.test"},
		UserSearch: ldaplogin.Search{Base: "dc=test", Filter: "(uid={username})"}, UsernameAttribute: "uid", AllowedGroups: []string{"*"},
		GroupSearch: ldaplogin.GroupSearch{Base: "dc=test", Filter: "(member={dn})"}, GroupNameAttribute: "cn",
	}
}

func newConfig(t *testing.T, sessionKey, passKey string, ldap ldaplogin.Config) Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "authz") // a Unix socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := Defaults()
	cfg.PublicURL, cfg.PrivateListen = "https://hub.test", ports.FreeAddr(t)
	cfg.Listen = Listen{GRPC: "unix:" + dir + "/g", HTTP: "unix:" + dir + "/h"}
	cfg.SessionKeyFiles, cfg.PassKeyFiles, cfg.Kubernetes.Namespace, cfg.LDAP = []string{sessionKey}, []string{passKey}, "perijove", ldap
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func start(t *testing.T, cfg Config, client kubernetes.Interface) *replica {
	t.Helper()
	r := &replica{log: &logs.Buffer{}, base: "http://" + cfg.PrivateListen}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- RunWith(ctx, cfg, client, telemetry.NewLogger(r.log, 0)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	conn, err := grpc.NewClient(cfg.Listen.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r.checks, r.health = authv3.NewAuthorizationClient(conn), healthv1.NewHealthClient(conn)
	r.pages = &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(cfg.Listen.HTTP, "unix:"))
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(r.pages.CloseIdleConnections)
	return r
}

func (r *replica) ready(t *testing.T) *replica {
	t.Helper()
	if !wait.Poll(30*time.Second, func() bool {
		res, err := http.Get(r.base + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}) {
		t.Fatalf("never ready\n%s", r.log)
	}
	return r
}

// private returns what the private port answers, "" while it does not.
func (r *replica) private(path string) string {
	res, err := http.Get(r.base + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// jar keeps cookies with their paths.
type jar map[string]*http.Cookie

func (j jar) header(path string) string {
	var pairs []string
	for _, c := range j {
		if strings.HasPrefix(path, c.Path) {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

func (j jar) keep(cookies []*http.Cookie) {
	for _, c := range cookies {
		if c.MaxAge < 0 {
			delete(j, c.Name+c.Path)
		} else {
			j[c.Name+c.Path] = c
		}
	}
}

// page asks the login pages as a browser does.
func (r *replica) page(t *testing.T, j jar, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://hub.test"+target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", j.header(req.URL.Path))
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set(contract.HeaderRequestID, "test-request")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://hub.test")
	}
	res, err := r.pages.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	j.keep(res.Cookies())
	return res, string(body)
}

func (r *replica) login(t *testing.T, j jar, name, password, next string) (*http.Response, string) {
	t.Helper()
	_, form := r.page(t, j, "GET", "/hub/login?next="+url.QueryEscape(next), nil)
	m := regexp.MustCompile(`name="_xsrf" value="([^"]*)"`).FindStringSubmatch(form)
	if m == nil {
		t.Fatalf("no form in %s", form)
	}
	return r.page(t, j, "POST", "/hub/login", url.Values{"username": {name}, "password": {password}, "next": {next}, "_xsrf": {m[1]}})
}

// check asks as Envoy does and returns the status, the answer and the headers for the upstream.
func (r *replica) check(t *testing.T, cookie, accept, path, route string) (int, *authv3.CheckResponse, map[string]string) {
	t.Helper()
	res, err := r.checks.Check(metadata.AppendToOutgoingContext(t.Context(), contract.MetadataRoute, route), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: path, Host: "hub.test", Headers: map[string]string{"cookie": cookie, "accept": accept, contract.HeaderRequestID: "test-request"},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	if ok := res.GetOkResponse(); ok != nil {
		for _, h := range ok.GetHeaders() {
			headers[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
		return http.StatusOK, res, headers
	}
	for _, h := range res.GetDeniedResponse().GetHeaders() {
		headers[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	return int(res.GetDeniedResponse().GetStatus().GetCode()), res, headers
}

// server is the name of the route of owner's server.
func server(owner string) string {
	return contract.Route{
		Kind: contract.KindServer, Prefix: "/user/" + owner + "/", Owner: owner, Address: netip.MustParseAddrPort("10.0.0.1:8888"),
	}.Name()
}

// TestWholeService: two replicas, one directory, one API; a person logs in, enters,
// logs out; the directory goes away.
func TestWholeService(t *testing.T) {
	t.Parallel()
	ldap := slapd.Start(t)
	sessionKey, passKey := keys.Files(t)
	api := fake.NewClientset()
	a := start(t, newConfig(t, sessionKey, passKey, directory(ldap)), api).ready(t)
	b := start(t, newConfig(t, sessionKey, passKey, directory(ldap)), api).ready(t)
	hub := contract.Route{Kind: contract.KindHub}.Name()

	status, _, headers := a.check(t, "", "text/html", "/user/alice/lab?reset", server("alice"))
	if status != 302 || headers["location"] != "/hub/login?next=%2Fuser%2Falice%2Flab%3Freset" {
		t.Fatalf("anonymous: %d %v", status, headers)
	}
	status, res, _ := a.check(t, "", "application/json", "/user/alice/api/kernels", server("alice"))
	var told struct{ Status int }
	if err := json.Unmarshal([]byte(res.GetDeniedResponse().GetBody()), &told); err != nil || status != 401 || told.Status != 401 {
		t.Fatalf("anonymous script: %d %v %v", status, res, err)
	}

	alice, bob := jar{}, jar{}
	page, text := a.login(t, alice, "ALICE", "alice-password", "/user/alice/lab?reset")
	if page.StatusCode != 303 || page.Header.Get("Location") != "/user/alice/lab?reset" {
		t.Fatalf("login: %d %s", page.StatusCode, text)
	}
	status, res, headers = b.check(t, alice.header("/user/alice/lab")+"; _xsrf=1", "text/html", "/user/alice/lab?reset", server("alice"))
	if status != 200 || headers[contract.HeaderUser] != "alice" || headers[contract.HeaderDisplayName] != "Alice%20Adams" {
		t.Fatalf("on the other replica: %d %v", status, res)
	}
	if page, _ := a.login(t, bob, "bob", "bob-password", "/user/alice/lab"); page.StatusCode != 403 {
		t.Errorf("bob is led to alice's server: %d", page.StatusCode)
	}
	status, res, _ = b.check(t, bob.header("/hub/"), "text/html", "/user/alice/lab", server("alice"))
	if body := res.GetDeniedResponse().GetBody(); status != 403 || !strings.Contains(body, "<html") || !strings.Contains(body, "test-request") {
		t.Errorf("bob at alice's server: %d %s", status, body)
	}
	if status, _, headers := b.check(t, bob.header("/hub/"), "text/html", "/hub/home", hub); status != 200 || headers[contract.HeaderUser] != "bob" || headers[contract.HeaderXSRF] == "" || headers[contract.HeaderAdmin] != "" {
		t.Errorf("bob at home: %d %v", status, headers)
	}
	carol := jar{}
	if page, _ := b.login(t, carol, "carol", "carol-password", "/user/alice/lab"); page.StatusCode != 303 {
		t.Errorf("carol: %d", page.StatusCode)
	}
	if status, _, headers := a.check(t, carol.header("/hub/"), "text/html", "/hub/home", hub); status != 200 || headers[contract.HeaderAdmin] != "true" {
		t.Errorf("carol at home: %d %v", status, headers)
	}

	testLogout(t, a, b, alice)
	t.Run("C: not yet synced replicas let nobody in", func(t *testing.T) { testNotSynced(t, newConfig(t, sessionKey, passKey, directory(ldap)), bob) })

	ldap.Stop()
	if page, text := a.login(t, jar{}, "alice", "alice-password", ""); page.StatusCode != 503 || !strings.Contains(text, "does not answer") {
		t.Errorf("R13: login without a directory: %d", page.StatusCode)
	}
	if status, _, _ := a.check(t, bob.header("/hub/"), "text/html", "/hub/home", hub); status != 200 {
		t.Errorf("R13: without a directory an existing session gives %d", status)
	}
	testLogs(t, a, b, bob["perijove-session/hub/"].Value)
	testMetricsAndHealth(t, a)
}

// testLogout: V1, the cookies are worthless everywhere, not only gone from the browser.
func testLogout(t *testing.T, a, b *replica, alice jar) {
	t.Helper()
	stolen := jar{}
	for k, c := range alice {
		stolen[k] = c
	}
	page, _ := a.page(t, alice, "GET", "/hub/logout", nil)
	delete(alice, contract.CookieDevice+contract.PathLogin) // opens nothing
	if page.StatusCode != 200 || len(alice) != 0 {
		t.Errorf("logout: %d, cookies left: %v", page.StatusCode, alice)
	}
	if status, _, _ := a.check(t, stolen.header("/user/alice/x"), "", "/user/alice/x", server("alice")); status != 401 {
		t.Errorf("V1: after the logout the pass gives %d on this replica", status)
	}
	wait.Within(t, 5*time.Second, "V1: after the logout the pass is refused on the other replica", func() bool {
		status, _, _ := b.check(t, stolen.header("/user/alice/x"), "", "/user/alice/x", server("alice"))
		return status == 401
	})
}

func testLogs(t *testing.T, a, b *replica, cookie string) {
	t.Helper()
	for name, log := range map[string]*logs.Buffer{"a": a.log, "b": b.log} {
		for _, secret := range []string{"alice-password", "bob-password", "carol-password", slapd.ServicePassword, cookie, "perijove-session="} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("S14: the log of %s holds %.20q…", name, secret)
			}
		}
	}
	for _, want := range []string{`"audit":true,"event":"login.succeeded","user":"alice"`, `"audit":true,"event":"session.revoked","user":"alice"`, `"audit":true,"event":"access.refused"`, `"audit":true,"event":"login.failed"`, `"result":"unavailable"`, `"request_id":"test-request"`} {
		if !strings.Contains(a.log.String()+b.log.String(), want) {
			t.Errorf("no audit line with %s", want)
		}
	}
}

func testMetricsAndHealth(t *testing.T, r *replica) {
	t.Helper()
	metrics := r.private("/metrics")
	for _, want := range []string{
		`perijove_authz_checks_total{code="401",kind="server",reason="no_session"}`, `perijove_logins_total{method="ldap",result="success"} 2`,
		`perijove_logins_total{method="ldap",result="unavailable"} 1`, "perijove_authz_revocation_watch_errors_total 0", "perijove_authz_revocations_unwritten 0",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
	if h, err := r.health.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil || h.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("gRPC health: %v %v", h, err)
	}
}

// testNotSynced: with the API away from the start, a replica answers nothing at all.
func testNotSynced(t *testing.T, cfg Config, bob jar) {
	r := start(t, cfg, unreachable(t))
	// Two failed attempts to read the list: by then a replica that does not wait serves.
	tried := regexp.MustCompile(`(?m)^perijove_authz_revocation_watch_errors_total ([2-9]|\d\d)`)
	if !wait.Poll(30*time.Second, func() bool { return tried.MatchString(r.private("/metrics")) }) {
		t.Fatalf("the list was never asked for\n%s", r.log)
	}
	if text := r.private("/readyz"); !strings.Contains(text, "revocations: not yet") {
		t.Errorf("readyz says %q", text)
	}
	if res, err := r.checks.Check(t.Context(), &authv3.CheckRequest{}); err == nil {
		t.Errorf("a check is answered: %v", res)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://hub.test/hub/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", bob.header("/hub/"))
	if res, err := r.pages.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("a page is answered: %d", res.StatusCode)
	}
}
