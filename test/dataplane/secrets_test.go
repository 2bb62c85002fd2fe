package dataplane

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/slapd"
	"github.com/perijove/perijove/test/wait"
)

// secrets are values that nobody may be told, with what each is (S14). Every test of
// this package adds what its people send and get, and looks for it at its end.
type secrets struct {
	mu  sync.Mutex
	all map[string]string
}

func (s *secrets) add(what, value string) {
	if len(value) < 12 {
		return // short values turn up by chance
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]string{}
	}
	s.all[value] = what
}

// in returns what text tells, never the value itself.
func (s *secrets) in(text string) (told []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, what := range s.all {
		if strings.Contains(text, value) {
			told = append(told, what)
		}
	}
	return told
}

// sent notes what a request carries.
func (s *secrets) sent(form url.Values, header http.Header) {
	for _, name := range []string{"password", contract.XSRFName} {
		s.add(name+" in a form", form.Get(name))
	}
	_, credential, _ := strings.Cut(header.Get("Authorization"), " ")
	s.add("an Authorization header", credential)
}

// got notes the cookies of a reply and looks for older secrets in it. Pages repeat form
// tokens and show a new API token once, so only passwords and cookies count there.
func (s *secrets) got(t testing.TB, path string, resp *http.Response, body string) {
	t.Helper()
	if strings.HasPrefix(path, "/hub/") {
		shown := body + resp.Header.Get("Location")
		for _, what := range s.in(shown) {
			if strings.Contains(what, "password") || strings.Contains(what, "cookie") || strings.Contains(what, "planted") {
				t.Errorf("S14: the page %.60s shows %s", path, what)
			}
		}
	}
	for _, c := range resp.Cookies() {
		s.add("the cookie "+c.Name, c.Value)
	}
}

// sweep looks for every secret in every log and metric. It runs before anything stops.
func (s *env) sweep() {
	s.secrets.add("the service account's password", slapd.ServicePassword)
	s.secrets.add("the key of sessions", strings.Repeat("s", 32))
	s.secrets.add("the key of servers", strings.Repeat("k", 32))
	for place, text := range s.told() {
		for _, what := range s.secrets.in(text) {
			s.t.Errorf("S14: %s tells %s", place, what)
		}
	}
}

// told is everything that is written down or shown to whoever watches the platform.
func (s *env) told() map[string]string {
	texts := map[string]string{}
	for name, log := range s.logs {
		texts["the log of "+name] = log.String()
	}
	if log, err := os.ReadFile(s.envoy.Log); err == nil {
		texts["Envoy's log"] = string(log)
	}
	for name, at := range map[string]string{
		"xds-server": "127.0.0.1:9101/metrics", "authz": "127.0.0.1:9102/metrics", "spawner": "127.0.0.1:9103/metrics", "Envoy": s.envoy.Admin + "/stats/prometheus",
	} {
		resp, err := http.Get("http://" + at)
		if err != nil {
			continue // the test stopped it
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		texts["the metrics of "+name] = string(body)
	}
	return texts
}

// TestS14_NothingTellsASecret plants recognisable values wherever a request can carry a
// secret, right and wrong, and lets sweep look for them.
func TestS14_NothingTellsASecret(t *testing.T) {
	s, _, alice := withAlice(t)
	planted := 0
	plant := func(where string) string {
		planted++
		marker := fmt.Sprintf("planted-marker-%d-0123456789abcdef", planted)
		s.secrets.add("a planted "+where, marker)
		return marker
	}
	for _, path := range []string{"/user/alice/lab", "/user/alice/api/kernels", "/user/bob/lab", "/hub/home", "/hub/api/users/alice", "/hub/login", "/hub/logout", "/hub/token", "/nowhere"} {
		for _, name := range []string{contract.CookieSession, contract.CookiePass, contract.CookieLogin, contract.CookieDevice} {
			s.raw("GET", path, "Accept: text/html", "Cookie: "+name+"="+plant("cookie"))
		}
		s.raw("GET", path, "Authorization: Bearer "+plant("token"))
		s.raw("GET", path, "Authorization: token "+plant("token"))
		s.raw("GET", path, "Authorization: Basic "+plant("password"))
		s.raw("POST", path, contract.XSRFHeader+": "+plant("form token"), "Content-Length: 0")
		s.raw("GET", path+"?token="+plant("token")+"&code="+plant("code")+"&state="+plant("state")+"&_xsrf="+plant("form token"), "Accept: text/html")
		s.raw("GET", path, "Referer: "+s.base()+"/?token="+plant("token"), "X-Perijove-Server-Secret: "+plant("server secret"))
		s.raw("GET", path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Cookie: "+contract.CookiePass+"="+plant("cookie"))
		alice.fetch("GET", path+"?token="+plant("token"))
		alice.fetch("POST", path, "Authorization: Bearer "+plant("token"))
	}
	s.raw("GET", "/hub/oauth_callback/x?code="+plant("code")+"&state="+plant("state")+"&error_description="+plant("token"))
	for _, name := range []string{"alice", "nobody", "dave", strings.Repeat("a", 300)} {
		visitor := s.newPerson()
		m := xsrfField.FindStringSubmatch(visitor.visit("/hub/login").body)
		visitor.send("POST", "/hub/login", url.Values{"username": {name}, "password": {plant("password")}, contract.XSRFName: {m[1]}}, false)
		visitor.send("POST", "/hub/login", url.Values{"username": {name}, "password": {plant("password")}, contract.XSRFName: {plant("form token")}}, false)
	}
	s.ldap.Stop() // now its errors are logged too
	visitor := s.newPerson()
	m := xsrfField.FindStringSubmatch(visitor.visit("/hub/login").body)
	visitor.send("POST", "/hub/login", url.Values{"username": {"alice"}, "password": {plant("password")}, contract.XSRFName: {m[1]}}, false)

	// Negative controls: the places are filled, and a secret there would be seen.
	for place, text := range map[string]string{
		"Envoy's log": "/user/alice/api/kernels", "the log of authz": "login failed", "the log of spawner": `"level":"INFO"`, "the log of xds-server": `"level":"INFO"`,
		"the metrics of authz": "perijove_logins_total", "the metrics of Envoy": "envoy_server_live", "the metrics of xds-server": "perijove_xds_envoys", "the metrics of spawner": "perijove_http_request",
	} {
		var control secrets
		control.add(text, text)
		wait.Until(s.t, text+" in "+place, func() bool { return len(control.in(s.told()[place])) == 1 })
	}
	if planted < 100 {
		t.Errorf("only %d secrets were planted", planted)
	}
}

// audits returns the audit lines of a service, newest last.
func (s *env) audits(service string) (lines []map[string]any) {
	for text := range strings.SplitSeq(s.logs[service].String(), "\n") {
		line := map[string]any{}
		if json.Unmarshal([]byte(text), &line) == nil && line["audit"] == true {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestAudit: one line for each login, failure, refusal and logout, which says who, from
// where and in which request; long names are cut.
func TestAudit(t *testing.T) {
	s, _, alice := withAlice(t)
	next := func(what, event, user string, do func()) {
		t.Helper()
		before := len(s.audits("authz"))
		do()
		wait.Until(s.t, "a line for "+what, func() bool { return len(s.audits("authz")) > before })
		lines := s.audits("authz")[before:]
		line := lines[0]
		if len(lines) != 1 || line["event"] != event || line["user"] != user || line["client"] != "127.0.0.1" || line["request_id"] == "" {
			t.Errorf("%s: %v", what, lines)
		}
	}
	try := func(name, password string) func() {
		return func() {
			p := s.newPerson()
			m := xsrfField.FindStringSubmatch(p.visit("/hub/login").body)
			p.send("POST", "/hub/login", url.Values{"username": {name}, "password": {password}, contract.XSRFName: {m[1]}}, false)
		}
	}
	long := strings.Repeat("n", 255) // as long as the form takes
	next("a login", "login.succeeded", "bob", try("bob", "bob-password"))
	next("a failure", "login.failed", "bob\n\"x\":1", try("bob\n\"x\":1", "a wrong password"))
	next("a long name", "login.failed", long, try(long, "a wrong password"))
	next("a foreign server", "access.refused", "alice", func() { alice.visit("/hub/login?next=/user/bob/lab") })
	next("a logout", "session.revoked", "alice", func() { alice.visit("/hub/logout") })
}

// TestL12_NobodyChoosesTheirAddress: who guesses cannot look like many sources, whatever
// the request says about where it comes from.
func TestL12_NobodyChoosesTheirAddress(t *testing.T) {
	s := newEnv(t)
	codes := map[int]int{}
	for i := range 12 {
		p := s.newPerson()
		m := xsrfField.FindStringSubmatch(p.visit("/hub/login").body)
		address := fmt.Sprintf("198.51.100.%d", i)
		r := p.request("POST", "/hub/login", url.Values{"username": {"alice"}, "password": {"a guess"}, contract.XSRFName: {m[1]}}, false,
			"Accept: text/html", "Sec-Fetch-Site: same-origin", "Origin: "+s.base(), "X-Forwarded-For: "+address, "X-Real-Ip: "+address,
			"X-Envoy-External-Address: "+address, "Forwarded: for="+address, contract.HeaderClientAddress+": "+address)
		codes[r.code]++
	}
	if codes[http.StatusForbidden] != 5 || codes[http.StatusTooManyRequests] != 7 {
		t.Errorf("answers by status: %v", codes)
	}
	for _, line := range s.audits("authz") {
		if line["client"] != "127.0.0.1" {
			t.Errorf("client %v", line["client"])
		}
	}
}
