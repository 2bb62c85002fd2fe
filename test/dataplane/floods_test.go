package dataplane

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/abuse"
)

// memory is what Envoy has allocated, in bytes.
func (a *abuseEnv) memory() int {
	a.t.Helper()
	var m struct {
		Allocated string `json:"allocated"`
	}
	if err := json.Unmarshal([]byte(a.envoy.AdminGet(a.t, "/memory")), &m); err != nil {
		a.t.Fatal(err)
	}
	n, err := strconv.Atoi(m.Allocated)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// served lets bob send request after request while f runs; none may fail.
func (a *abuseEnv) served(t *testing.T, what string, f func()) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan int)
	defer func() {
		close(stop)
		if n := <-done; n == 0 {
			t.Errorf("during %s nobody asked: the test shows nothing", what)
		}
		if !a.envoy.Alive() {
			t.Errorf("after %s Envoy is dead", what)
		}
	}()
	go func() {
		n := 0
		for {
			if r, err := abuse.SendH1(publicAddr, a.bob.Get("/user/bob/bystander").H1); err != nil || r.Code != 200 {
				t.Errorf("during %s bob gets %d, %v", what, r.Code, err)
			}
			n++
			select {
			case <-stop:
				done <- n
				return
			default:
			}
		}
	}()
	f()
}

// D1, D8: frames without end close their own connection and harm nobody else; a few of
// them do no harm at all.
func TestD1_FloodsEndTheirConnection(t *testing.T) {
	a := newAbuseEnv(t)
	for _, flood := range abuse.Floods(a.alice, "/user/alice/x") {
		a.served(t, flood.Name, func() {
			before := a.memory()
			begin := time.Now()
			n, err := flood.Run(publicAddr)
			if err != nil {
				t.Error(err)
			}
			grown := a.memory() - before
			t.Logf("%s: closed after %d frames, %v, Envoy's memory %+d kB", flood.Name, n, time.Since(begin), grown>>10)
			if grown > 32<<20 {
				t.Errorf("%s takes %d MB", flood.Name, grown>>20)
			}
		})
		if !flood.Fine {
			continue
		}
		if r, err := flood.Few(publicAddr, 5, a.alice.Get("/user/alice/x")); err != nil || r.Code != 200 { // negative control
			t.Errorf("after five of %s: %d, %v", flood.Name, r.Code, err)
		}
	}
}

// D2, D4: headers that are too many or too large are refused before anybody keeps them.
func TestD2_LargeHeadersAreRefused(t *testing.T) {
	a := newAbuseEnv(t)
	before := a.memory()
	a.served(t, "large headers", func() {
		a.attack(t, abuse.Large(a.alice, "/user/alice/x"))
		for range 20 {
			answer, err := abuse.Amplify(publicAddr, a.alice, "/user/alice/x", 10_000)
			if err != nil || !answer.Refused() {
				t.Errorf("CVE-2026-47774: 40 MB of cookies in 10 kB: %d, %v", answer.Code, err)
			}
		}
	})
	if answer, err := abuse.Amplify(publicAddr, a.alice, "/user/alice/x", 2); err != nil || answer.Code != 200 { // negative control
		t.Errorf("a cookie named twice: %d, %v", answer.Code, err)
	}
	if grown := a.memory() - before; grown > 16<<20 {
		t.Errorf("Envoy keeps %d MB", grown>>20)
	}
}

// D3: what never comes to its end is ended, and does not hold up anybody.
func TestD3_SlowRequestsAreCut(t *testing.T) {
	a := newAbuseEnv(t)
	a.served(t, "slow requests", func() {
		var group sync.WaitGroup
		for name, begin := range abuse.Slow(a.alice, "/user/alice/x") {
			group.Go(func() {
				if ended, err := begin(publicAddr, 20*time.Second); err != nil || !ended { // the listener's limit is 10 s
					t.Errorf("%s is never cut, %v", name, err)
				}
			})
		}
		group.Wait()
	})
}

// D10: what the edge grants a connection of HTTP/2.
func TestD10_LimitsOfAConnection(t *testing.T) {
	newAbuseEnv(t)
	c, err := abuse.DialH2(publicAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: 100, http2.SettingInitialWindowSize: 256 << 10, http2.SettingEnableConnectProtocol: 1} {
		if got := c.Settings[id]; got != want {
			t.Errorf("%v = %d, want %d", id, got, want)
		}
	}
}

// D6: garbage for a session or a pass is refused without a question to the directory.
func TestD6_GarbageCookiesAskNobody(t *testing.T) {
	a := newAbuseEnv(t)
	asked := strings.Count(a.ldap.Log(t), "SRCH")
	a.served(t, "garbage cookies", func() {
		c, err := abuse.DialH2(publicAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i := range 1000 {
			garbage := strings.Repeat(fmt.Sprintf("v1.%d.", i), 40)
			s := abuse.Sender{Host: publicHost, Cookie: contract.CookieSession + "=" + garbage + "; " + contract.CookiePass + "=eyJhbGciOiJFUzI1NiJ9." + garbage}
			for _, path := range []string{"/user/alice/x", "/hub/api/user"} {
				if r, err := c.Send(s.Get(path).H2, ""); err != nil || r.Code != 401 {
					t.Fatalf("garbage %d at %s: %d, %v", i, path, r.Code, err)
				}
			}
		}
	})
	if now := strings.Count(a.ldap.Log(t), "SRCH"); now > asked+2 { // the log's own questions
		t.Errorf("the directory was asked %d times", now-asked)
	}
	a.login("carol") // negative control
	if now := strings.Count(a.ldap.Log(t), "SRCH"); now < asked+3 {
		t.Errorf("a login is not seen in the directory's log: %d questions", now-asked)
	}
}
