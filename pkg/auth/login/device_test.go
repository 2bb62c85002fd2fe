package login

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
)

func from(address string) map[string]string {
	return map[string]string{contract.HeaderClientAddress: address}
}

// TestL12_GuessingIsThrottled: who guesses is told to wait and asks the directory no
// more; alice still gets in from elsewhere, and others from the same address.
func TestL12_GuessingIsThrottled(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	mallory := s.browser(t)
	var last *http.Response
	for i := range 30 {
		last = mallory.post(strings.Repeat(" ", i%3)+"Alice", fmt.Sprint("guess", i), "", from("192.0.2.1"))
	}
	text := body(t, last)
	if wait, err := strconv.Atoi(last.Header.Get("Retry-After")); last.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 60 {
		t.Errorf("%d, Retry-After %q", last.StatusCode, last.Header.Get("Retry-After"))
	}
	if !strings.Contains(text, "Too many failed attempts") || !strings.Contains(text, `name="password"`) {
		t.Errorf("page %.300q", text)
	}
	if len(s.asked) >= 10 {
		t.Errorf("the directory was asked %d times", len(s.asked))
	}
	if res := mallory.post("alice", "alice-password", "", from("192.0.2.1")); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right password after too many wrong ones: %d", res.StatusCode)
	}
	if res := s.browser(t).post("alice", "alice-password", "", from("198.51.100.7")); res.StatusCode != http.StatusSeeOther {
		t.Errorf("alice from elsewhere: %d", res.StatusCode)
	}
	if res := s.browser(t).post("bob", "bob-password", "", from("192.0.2.1")); res.StatusCode != http.StatusSeeOther {
		t.Errorf("bob from mallory's address: %d", res.StatusCode)
	}
	logs.Audited(t, s.log.String(), telemetry.LoginFailed)
	if !strings.Contains(s.log.String(), `"result":"throttled"`) {
		t.Error("no audit line says why")
	}
}

// TestL12_KnownBrowser: while a botnet guesses alice's password, a browser that logged
// in as her before still can, and no other.
func TestL12_KnownBrowser(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	known, bobs := s.browser(t), s.browser(t)
	known.post("alice", "alice-password", "", from("198.51.100.7"))
	bobs.post("bob", "bob-password", "", from("198.51.100.8"))
	for i := range 100 {
		s.browser(t).post("alice", "guess", "", from(fmt.Sprintf("10.0.0.%d", i)))
	}
	for name, c := range map[string]struct {
		b    *browser
		want int
	}{
		"her browser, elsewhere": {known, http.StatusSeeOther},
		"a new browser":          {s.browser(t), http.StatusTooManyRequests},
		"bob's browser":          {bobs, http.StatusTooManyRequests},
	} {
		delete(c.b.cookies, contract.CookieSession+contract.PathHub)
		if res := c.b.post("alice", "alice-password", "", from("203.0.113.9")); res.StatusCode != c.want {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	cookie := known.cookies[contract.CookieDevice+contract.PathLogin]
	if cookie == nil || cookie.MaxAge != int(deviceLifetime.Seconds()) || strings.Contains(cookie.Value, "alice") {
		t.Fatalf("%+v", cookie)
	}
	forged := s.browser(t)
	for _, value := range []string{"", "x", cookie.Value[:len(cookie.Value)-8] + "AAAAAAAA", strings.Repeat("a", 5000)} {
		copied := *cookie
		copied.Value = value
		forged.cookies[contract.CookieDevice+contract.PathLogin] = &copied
		if res := forged.post("alice", "alice-password", "", from("203.0.113.9")); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("forged %.20q: %d", value, res.StatusCode)
		}
	}
	if n := len(s.asked); n > 30 {
		t.Errorf("the directory was asked %d times", n)
	}
}

// TestL12_OneSourceManyUsers: one guess for each of many names from one address.
func TestL12_OneSourceManyUsers(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	b := s.browser(t)
	for i := range 100 {
		b.post(fmt.Sprintf("user-%d", i), "guess", "", from("2001:db8::"+strconv.Itoa(i)))
	}
	if n := len(s.asked); n == 0 || n >= 100 {
		t.Errorf("the directory was asked %d times", n)
	}
}

// TestWindowsNames: people of a Windows domain type it before their name. The directory and the
// count of guesses get the name alone.
func TestWindowsNames(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	b := e.browser(t)
	if res := b.post(`EXAMPLE\alice`, "alice-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", res.StatusCode)
	}
	if s, ok := b.session(); !ok || s.User.Name != "alice" || b.asked[0] != "alice" {
		t.Errorf("%+v, asked %q", s.User, b.asked)
	}
	if res := e.browser(t).post(`EXAMPLE\`, "x", "", nil); res.StatusCode != http.StatusBadRequest || len(e.asked) != 1 {
		t.Errorf("a domain without a name: %d", res.StatusCode)
	}
	mallory, checked := newEnv(t), 0
	for i := range 20 {
		if res := mallory.browser(t).post(fmt.Sprintf(`D%d\alice`, i), "guess", "", from("192.0.2.1")); res.StatusCode == http.StatusForbidden {
			checked++
		}
	}
	if checked == 0 || checked > 6 {
		t.Errorf("%d guesses for one account under 20 domains", checked)
	}
}
