package dataplane

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/abuse"
)

// abuseEnv is an env in which alice's and bob's servers run.
type abuseEnv struct {
	*env
	alices, bobs       *upstream
	nobody, bob, alice abuse.Sender
}

func newAbuseEnv(t *testing.T) *abuseEnv {
	t.Helper()
	s, up, alice := withAlice(t, spawned("n1"))
	a := &abuseEnv{env: s, alices: up, bobs: newUpstream(t, "10.99.0.2", "bob")}
	s.addPod("jupyter-bob", server.ID{User: "bob"}, a.bobs.addr)
	s.routed("/user/bob/api", true)
	bob := s.login("bob")
	bob.visit("/user/bob/lab")
	s.knowsKeys()
	a.nobody = abuse.Sender{Host: publicHost}
	a.alice = abuse.Sender{Host: publicHost, Cookie: alice.cookies("/user/alice/")}
	a.bob = abuse.Sender{Host: publicHost, Cookie: bob.cookies("/user/bob/")}
	return a
}

// send is one request over one protocol; ok is false if the protocol cannot say it.
func send(t *testing.T, protocol string, c abuse.Case) (answer abuse.Answer, ok bool) {
	t.Helper()
	c, ok = c.Over(protocol)
	if !ok {
		return answer, false
	}
	var err error
	if protocol == "HTTP/2" {
		answer, err = abuse.SendH2(publicAddr, c.H2, c.Body)
	} else {
		answer, err = abuse.SendH1(publicAddr, c.H1)
	}
	if err != nil {
		t.Errorf("%s %s over %s: %v", c.ID, c.Name, protocol, err)
	}
	return answer, true
}

// attack runs a catalogue over every protocol. No attack may reach alice's server; each
// honest twin must reach a server.
func (a *abuseEnv) attack(t *testing.T, catalogue []abuse.Case) {
	t.Helper()
	for _, protocol := range abuse.Protocols() {
		before := len(a.alices.requests())
		if n := sendAll(t, protocol, catalogue); n < 5 {
			t.Errorf("only %d cases over %s", n, protocol)
		}
		for _, r := range a.alices.requests()[before:] {
			i, err := strconv.Atoi(r.Header.Get("X-Case"))
			if err != nil {
				t.Fatalf("alice's pod received %s, %v", r.Path, r.Header)
			}
			if c := catalogue[i]; c.Want != abuse.Mended || r.Header.Get("X-Smuggled") != "" || r.Path != "/user/alice/x" {
				t.Errorf("%s %s over %s: alice's pod received %s, %v", c.ID, c.Name, protocol, r.Path, r.Header)
			}
		}
		for _, c := range catalogue {
			if _, ok := c.Over(protocol); !ok {
				continue
			}
			twin := *c.Twin
			if protocol == "HTTP/1.0" {
				twin = twin.WithoutUpgrade()
			}
			before := len(a.alices.requests()) + len(a.bobs.requests())
			if twin, ok := send(t, protocol, twin); ok && (twin.Code/100 != 2 && twin.Code != 101 || len(a.alices.requests())+len(a.bobs.requests()) == before) {
				t.Errorf("the twin of %s %s over %s gets %d and reaches nobody: the case shows nothing", c.ID, c.Name, protocol, twin.Code)
			}
		}
	}
}

// sendAll sends the attacks side by side, since Envoy takes a second to close a connection,
// and judges the answers. It returns how many the protocol could say.
func sendAll(t *testing.T, protocol string, catalogue []abuse.Case) (n int) {
	t.Helper()
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i, c := range catalogue {
		if _, ok := c.Over(protocol); !ok {
			continue
		}
		n++
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answer, _ := send(t, protocol, c.Marked("X-Case", strconv.Itoa(i)))
			if err := c.Judge(answer); err != nil {
				t.Errorf("over %s: %v", protocol, err)
			}
			if c.Want != abuse.Mended && strings.Contains(answer.Body, `"marker":"alice"`) {
				t.Errorf("%s %s over %s: shows alice's server", c.ID, c.Name, protocol)
			}
		})
	}
	group.Wait()
	return n
}

// P1 to P9, H9: no path and no host leads to another's server.
func TestP1_NoPathLeadsToAnothersServer(t *testing.T) {
	a := newAbuseEnv(t)
	a.attack(t, abuse.PathsToAlice(a.bob, a.alice))
	a.attack(t, abuse.Hosts(a.bob))
}

// H2, H5, H7: what two servers could read differently never gets past the edge.
func TestH7_MalformedRequestsAreRefused(t *testing.T) {
	a := newAbuseEnv(t)
	a.attack(t, abuse.Malformed(a.alice))
}

// H10: no method that is not listed reaches a server.
func TestH10_MethodsAreListed(t *testing.T) {
	a := newAbuseEnv(t)
	a.attack(t, abuse.Methods(a.alice))
	for _, protocol := range abuse.Protocols() {
		answer, _ := send(t, protocol, abuse.Methods(a.alice)[0])
		if answer.Code != 405 || !strings.Contains(answer.Header.Get("Allow"), "PROPFIND") || !strings.Contains(answer.Body, "request_id") {
			t.Errorf("TRACE over %s: %d, Allow %q, %s", protocol, answer.Code, answer.Header.Get("Allow"), answer.Body)
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH"} { // negative control
		if r := a.raw(method, "/user/alice/files/", "Cookie: "+a.alice.Cookie, "Sec-Fetch-Site: same-origin", "Origin: "+origin); r.code != 200 {
			t.Errorf("%s: %d, want 200", method, r.code)
		}
	}
}

// H8, S10, S11, D8: only a websocket of somebody who may passes, and CONNECT leads nowhere.
func TestH8_OtherTunnelsAreRefused(t *testing.T) {
	a := newAbuseEnv(t)
	a.attack(t, abuse.Tunnels(a.nobody, a.bob, a.alice))
}

// H1, H3, H4: whatever else a client writes, alice's server learns the same, and none of
// the client's headers. The client's address is a private one, which Envoy obeys unless it
// is told not to.
func TestH4_ClientHeadersAreNotObeyed(t *testing.T) {
	a := newAbuseEnv(t)
	lines, names := abuse.Headers([]string{
		contract.HeaderScope, contract.HeaderDestination, contract.HeaderServerSecret, contract.HeaderPassOwner,
		contract.HeaderUser, contract.HeaderDisplayName, contract.HeaderAdmin, contract.HeaderXSRF, contract.HeaderGroups, contract.HeaderSubject,
	})
	for _, protocol := range abuse.Protocols() {
		plain, _ := send(t, protocol, a.alice.Get("/user/alice/h4"))
		spoofed, _ := send(t, protocol, a.alice.Get("/user/alice/h4", lines...))
		var want, got seen
		if err := json.Unmarshal([]byte(plain.Body), &want); err != nil || want.Header.Get(contract.HeaderUser) != "alice" {
			t.Fatalf("over %s without them: %d %s", protocol, plain.Code, plain.Body)
		}
		if err := json.Unmarshal([]byte(spoofed.Body), &got); err != nil || got.Marker != "alice" || got.Path != want.Path || got.Host != want.Host {
			t.Fatalf("over %s: %d %s", protocol, spoofed.Code, spoofed.Body)
		}
		for name := range got.Header {
			if name != "X-Request-Id" && !slices.Equal(got.Header[name], want.Header[name]) {
				t.Errorf("over %s the pod sees %s = %.60q, without the client's headers %q", protocol, name, got.Header[name], want.Header[name])
			}
		}
		for _, name := range names {
			if values := want.Header.Values(name); len(values) != 0 {
				t.Errorf("over %s Envoy believes of a client that nobody vouches for: %s = %q", protocol, name, values)
			}
		}
	}
}
