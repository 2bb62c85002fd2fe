package dataplane

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// person is somebody with a browser-like client.
type person struct {
	s    *env
	http *http.Client
}

func (s *env) newPerson() *person { return s.newPersonAt(publicAddr) }

// newPersonAt reaches the platform at an address, whatever the host's name is.
func (s *env) newPersonAt(addr string) *person {
	transport := &http.Transport{TLSClientConfig: s.trust.Clone(), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &person{s: s, http: &http.Client{Jar: &jar{}, Transport: transport}}
}

var xsrfField = regexp.MustCompile(`name="` + contract.XSRFName + `"[^>]*value="([^"]*)"`)

// login goes through the form as a browser does.
func (s *env) login(name string) *person {
	s.t.Helper()
	return s.loginWith(name, url.Values{})
}

// loginWith is login with further fields in the form.
func (s *env) loginWith(name string, form url.Values) *person {
	s.t.Helper()
	p := s.newPerson()
	p.login(name, form)
	return p
}

func (p *person) login(name string, form url.Values) {
	s := p.s
	s.t.Helper()
	page := p.visit("/hub/login")
	m := xsrfField.FindStringSubmatch(page.body)
	if m == nil {
		s.t.Fatalf("the login page (%d) has no form:\n%s", page.code, page.body)
	}
	maps.Copy(form, url.Values{"username": {name}, "password": {name + "-password"}, contract.XSRFName: {m[1]}})
	r := p.send("POST", "/hub/login", form, false)
	if r.code != http.StatusSeeOther {
		s.t.Fatalf("login of %s answers %d:\n%s", name, r.code, r.body)
	}
}

// withAlice is an env in which alice's server runs and her browser has been there.
func withAlice(t *testing.T, change ...func(*corev1.Pod)) (*env, *upstream, *person) {
	t.Helper()
	return withAliceOn(newEnv(t), change...)
}

func withAliceOn(s *env, change ...func(*corev1.Pod)) (*env, *upstream, *person) {
	s.t.Helper()
	up := newUpstream(s.t, "10.99.0.1", "alice")
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, change...)
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	if r := alice.visit("/user/alice/lab"); r.code != 200 {
		s.t.Fatalf("alice at her own server: %d %s", r.code, r.body)
	}
	return s, up, alice
}

// visit is a navigation: redirects are followed.
func (p *person) visit(path string) reply { return p.send("GET", path, nil, true) }

// fetch is what a page's script sends: no redirect is followed.
func (p *person) fetch(method, path string, headers ...string) reply {
	return p.request(method, path, nil, false, append([]string{"Accept: */*", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Origin: " + p.s.base()}, headers...)...)
}

func (p *person) send(method, path string, form url.Values, follow bool) reply {
	return p.request(method, path, form, follow, "Accept: text/html", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Origin: "+p.s.base())
}

func (p *person) request(method, path string, form url.Values, follow bool, headers ...string) reply {
	p.s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, p.s.address(path), body)
	if err != nil {
		p.s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	p.s.secrets.sent(form, req.Header)
	client := *p.http
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		p.s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		p.s.t.Fatal(err)
	}
	p.s.secrets.got(p.s.t, path, resp, string(content))
	return reply{code: resp.StatusCode, header: resp.Header, body: string(content)}
}

// address is path on the hub's host, unless it is an address already.
func (s *env) address(path string) string {
	if strings.HasPrefix(path, "https://") {
		return path
	}
	return s.base() + path
}

// cookies returns the Cookie header that a browser would send to path.
func (p *person) cookies(path string) string {
	u, err := url.Parse(p.s.address(path))
	if err != nil {
		p.s.t.Fatal(err)
	}
	var all []string
	for _, c := range p.http.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// dial opens a websocket; the error of a refusal names its status.
func (p *person) dial(path, origin string) (*websocket.Conn, int, error) {
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	conn, resp, err := websocket.Dial(context.Background(), p.s.address(path), &websocket.DialOptions{HTTPClient: p.http, HTTPHeader: header})
	code := 0
	if resp != nil {
		code = resp.StatusCode
	}
	return conn, code, err
}

// jar keeps cookies as browsers do: by host, and paths are compared as they are written,
// escapes and all (net/http/cookiejar compares them decoded).
type jar struct{ cookies []stored }

type stored struct {
	host string
	*http.Cookie
}

func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		j.cookies = slices.DeleteFunc(j.cookies, func(o stored) bool { return o.host == u.Host && o.Name == c.Name && o.Path == c.Path })
		if c.MaxAge >= 0 {
			j.cookies = append(j.cookies, stored{u.Host, c})
		}
	}
}

func (j *jar) Cookies(u *url.URL) (out []*http.Cookie) {
	for _, c := range j.cookies {
		path := u.EscapedPath()
		if c.host == u.Host && (path == c.Path || strings.HasPrefix(path, strings.TrimSuffix(c.Path, "/")+"/")) {
			out = append(out, &http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return out
}
