package origin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]Site{
		"https://Hub.test":      {Scheme: "https", Hosts: []string{"hub.test", "hub.test:443"}},
		"https://hub.test:443/": {Scheme: "https", Hosts: []string{"hub.test:443", "hub.test"}},
		"http://localhost:8000": {Scheme: "http", Hosts: []string{"localhost:8000"}},
		"http://[::1]":          {Scheme: "http", Hosts: []string{"[::1]", "[::1]:80"}},
		"http://[::1]:80":       {Scheme: "http", Hosts: []string{"[::1]:80", "[::1]"}},
		"https://hub.test:80":   {Scheme: "https", Hosts: []string{"hub.test:80"}},
	} {
		if got, err := Parse(raw, nil); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "hub.test", "ftp://hub.test", "https://", "https://:443", "https://hub.test/base", "https://u:p@hub.test", "https://hub.test?x", "https://hub.test/#x",
		"https://h\u00fcb.test", "https://hub_1.test", "https://hub.test.", "https://hub.test:0", "https://hub.test:65536", "https://[::1", "https://[1:2]", "https://-hub.test"} {
		if got, err := Parse(raw, nil); err == nil {
			t.Errorf("%s: %+v", raw, got)
		}
	}
	for _, extra := range []string{"", "*", "a/b", "a,b", "a b", "*.test", "a:", "a:b", "a:65536", "a\tb", "h\u00fcb.test"} {
		if got, err := Parse("https://hub.test", []string{extra}); err == nil {
			t.Errorf("extra host %q: %+v", extra, got)
		}
	}
}

func TestP9_H9_HostsAndOrigins(t *testing.T) {
	s, err := Parse("https://hub.test", []string{"127.0.0.1:8000", "HUB.test"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"hub.test": true, "HUB.TEST": true, "hub.test:443": true, "127.0.0.1:8000": true,
		"": false, "hub.test.": false, "hub.test:1234": false, "evil.test": false, "hub.test,evil.test": false, "127.0.0.1": false, "xhub.test": false,
	} {
		if s.Answers(host) != want {
			t.Errorf("Answers(%q) is %v", host, !want)
		}
	}
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"https://hub.test", "hub.test", true}, {"https://HUB.test", "hub.TEST", true}, {"https://127.0.0.1:8000", "127.0.0.1:8000", true},
		{"http://hub.test", "hub.test", false}, {"https://evil.test", "evil.test", false}, {"https://hub.test", "127.0.0.1:8000", false},
		{"null", "hub.test", false}, {"", "hub.test", false}, {"https://hub.test.evil", "hub.test", false}, {"https://hub.test,https://evil.test", "hub.test", false},
	} {
		if s.Same(c.origin, c.host) != c.want {
			t.Errorf("Same(%q, %q) is %v", c.origin, c.host, !c.want)
		}
	}
	if !s.Secure() {
		t.Error("https must be secure")
	}
}
