package dataplane

import (
	"net/url"
	"slices"
	"strings"
	"testing"

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
