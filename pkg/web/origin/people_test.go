package origin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUserDomain(t *testing.T) {
	for _, c := range []struct {
		url, domain string
		hosts, any  []string
		link        string
	}{
		{"https://hub.test", "people.test", []string{"alice.people.test", "alice.people.test:443"}, []string{"*.people.test", "*.people.test:443"}, "https://alice.people.test"},
		{"https://hub.test:443", "hub.test", []string{"alice.hub.test:443", "alice.hub.test"}, []string{"*.hub.test:443", "*.hub.test"}, "https://alice.hub.test:443"},
		{"http://localhost:8000", "localhost", []string{"alice.localhost:8000"}, []string{"*.localhost:8000"}, "http://alice.localhost:8000"},
	} {
		one, err := Parse(c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := one.WithUserDomain(c.domain)
		if err != nil || !s.PerUser() || !cmp.Equal(s.For("alice").Hosts, c.hosts) || !cmp.Equal(s.AnyUser(), c.any) || s.UserBaseURL("alice") != c.link || s.HubBaseURL() != strings.TrimSuffix(c.url, "/") {
			t.Errorf("%s: %v %v %v %s %s", c.url, err, s.For("alice").Hosts, s.AnyUser(), s.UserBaseURL("alice"), s.HubBaseURL())
		}
		if s.Answers(c.hosts[0]) || s.For("alice").Answers(s.Hosts[0]) || s.For("bob").Answers(c.hosts[0]) {
			t.Errorf("%s: one host stands for another", c.url)
		}
		if !s.For("alice").Same(c.link, c.hosts[0]) || s.For("alice").Same(s.UserBaseURL("bob"), c.hosts[0]) || s.For("alice").Same(s.HubBaseURL(), c.hosts[0]) {
			t.Errorf("%s: origins", c.url)
		}
	}
	one, _ := Parse("https://hub.test", nil)
	same, err := one.WithUserDomain("")
	if err != nil || same.PerUser() || !cmp.Equal(same.For("alice"), one) || same.AnyUser() != nil || same.HubBaseURL() != "" || same.UserBaseURL("alice") != "" {
		t.Errorf("without a domain: %+v, %v", same, err)
	}
}

// A person must not be able to have the hub's host, nor any name outside the domain.
func TestUserDomainIsRefused(t *testing.T) {
	site, err := Parse("https://hub.people.test:8443", []string{"other.spare.test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{
		"people.test", "spare.test", "*.x.test", "x.test:443", "https://x.test", "X.test", ".x.test", "x.test.", "x..test", "-x.test", "x_y.test", "test", "10.0.0.1", "x.test/", " x.test",
		strings.Repeat("a.", 100) + "test",
	} {
		if s, err := site.WithUserDomain(domain); err == nil {
			t.Errorf("%q: %+v", domain, s)
		}
	}
	longest := strings.Repeat("a.", (MaxDomain-len("b.test"))/2) + "b.test"
	longest += strings.Repeat("t", MaxDomain-len(longest))
	if s, err := site.WithUserDomain(longest + "t"); err == nil {
		t.Errorf("one byte too long: %+v", s)
	}
	for _, domain := range []string{"hub.people.test", "x.test", "a.b-c.x.test", "localhost", longest} {
		if _, err := site.WithUserDomain(domain); err != nil {
			t.Errorf("negative control: %q: %v", domain, err)
		}
	}
}
