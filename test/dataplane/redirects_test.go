package dataplane

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/abuse"
)

// U1, U2, U3: no "next" and no path leads a browser to another origin, through the whole
// edge.
func TestU1_NothingLeadsToAnotherOrigin(t *testing.T) {
	s, _, alice := withAlice(t)
	hub := abuse.Sender{Host: publicHost, Cookie: alice.cookies("/hub/")}
	c := dialH2(t)
	location := func(path string) string {
		answer, err := c.Send(hub.Get(path, "Accept: text/html").H2, "")
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code == 0 { // a path that the edge refuses with its connection
			c = dialH2(t)
		}
		return answer.Header.Get("Location")
	}
	if got := location("/hub/login?next=" + url.QueryEscape("/user/alice/lab?x")); got != "/user/alice/lab?x" { // negative control
		t.Fatalf("an honest next leads to %q", got)
	}
	all := abuse.Redirects()
	if len(all) < 300 {
		t.Fatalf("the corpus has %d lines", len(all))
	}
	for _, next := range all {
		if got := location("/hub/login?next=" + url.QueryEscape(next)); got != "/hub/" {
			t.Errorf("next=%q leads to %q", next, got)
		}
	}
	led := 0
	for _, path := range all {
		if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			continue // cannot be a path of a request
		}
		got := location(path)
		if answer := s.raw("GET", path, page); answer.get("Location") != "" {
			got = answer.get("Location")
		}
		if got == "" {
			continue
		}
		led++
		if abuse.Leaves(got) && !slices.Contains([]string{origin, origin + "/"}, got) {
			t.Errorf("the path %q leads to %q", path, got)
		}
	}
	t.Logf("%d values of next, %d paths that are redirected", len(all), led)
}

func dialH2(t *testing.T) *abuse.H2 {
	t.Helper()
	c, err := abuse.DialH2(publicAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// S2: a session or a pass of which one character differs is nobody's, and its answer is
// the same whichever it was.
func TestS2_AlteredCookiesAtTheEdge(t *testing.T) {
	s, up, alice := withAlice(t)
	s.knowsKeys()
	before := len(up.requests())
	c, shape := dialH2(t), ""
	for name, path := range map[string]string{contract.CookieSession: "/hub/", contract.CookiePass: "/user/alice/"} {
		_, value, _ := strings.Cut(alice.cookies(path), name+"=")
		value, _, _ = strings.Cut(value, ";")
		if r, err := c.Send(abuse.Sender{Host: publicHost, Cookie: name + "=" + value}.Get("/user/alice/s2").H2, ""); err != nil || r.Code != 200 { // negative control
			t.Fatalf("the honest %s: %d, %v", name, r.Code, err)
		}
		before++
		for i, altered := range abuse.Altered(value) {
			r, err := c.Send(abuse.Sender{Host: publicHost, Cookie: name + "=" + altered}.Get("/user/alice/s2").H2, "")
			if err != nil || r.Code != 401 {
				t.Fatalf("an altered %s (%d of %d characters): %d, %v", name, i, len(value), r.Code, err)
			}
			body := strings.ReplaceAll(r.Body, r.Header.Get("X-Request-Id"), "")
			if shape == "" {
				shape = body
			}
			if body != shape {
				t.Errorf("an altered %s tells which it is: %s, another %s", name, body, shape)
			}
		}
	}
	if n := len(up.requests()); n != before {
		t.Errorf("%d requests with altered cookies reached the pod", n-before)
	}
}
