package origin

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/perijove/perijove/pkg/server"
)

// MaxDomain keeps label and domain together below the 253 bytes of a host name.
const MaxDomain = 253 - 63 - 1

// DomainPattern matches a host name of two labels or more, or "localhost", in lower case.
const DomainPattern = `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$|^localhost$`

var domainName = regexp.MustCompile(DomainPattern)

// WithUserDomain gives each person's servers a host of their own below domain, with the
// scheme and port of the public URL: https://alice.users.example.org. Browsers then keep
// people's pages apart. With "" all servers share the hub's host and s is returned as it is.
//
// A hub's host must not be a name that a user's host could be: a user called "hub" would get
// the hub's cookies.
func (s Site) WithUserDomain(domain string) (Site, error) {
	if domain == "" {
		return s, nil
	}
	if !domainName.MatchString(domain) || len(domain) > MaxDomain {
		return Site{}, errors.New("must be a domain in lower case, without scheme, port or wildcard: users.example.org")
	}
	for _, host := range s.Hosts {
		label, below := strings.CutSuffix(WithoutPort(host), "."+domain)
		if below && !strings.Contains(label, ".") {
			return Site{}, fmt.Errorf("contains the platform's own host %s: a person called %q would have the same", host, label)
		}
	}
	s.UserDomain = domain
	return s, nil
}

// PerUser reports whether each person's servers have a host of their own.
func (s Site) PerUser() bool { return s.UserDomain != "" }

// For returns the site on which owner's servers are: a host of her own, or s itself when
// all share one.
func (s Site) For(owner string) Site {
	if !s.PerUser() {
		return s
	}
	return Site{Scheme: s.Scheme, Hosts: s.onPorts(server.HostLabel(owner) + "." + s.UserDomain)}
}

// AnyUser returns the hosts of all users' servers in Envoy's form "*.domain"; none when all
// share the hub's.
func (s Site) AnyUser() []string {
	if !s.PerUser() {
		return nil
	}
	return s.onPorts("*." + s.UserDomain)
}

// Origin is the origin of s as links spell it: the scheme and the first host. That of the zero
// Site is "".
func (s Site) Origin() string {
	if len(s.Hosts) == 0 {
		return ""
	}
	return s.Scheme + "://" + s.Hosts[0]
}

// HubBaseURL begins a link from any host to a page of the platform: "" when all share one
// host.
func (s Site) HubBaseURL() string {
	if !s.PerUser() {
		return ""
	}
	return s.Origin()
}

// UserBaseURL begins a link to a server of owner's: "" when all share one host.
func (s Site) UserBaseURL(owner string) string {
	if !s.PerUser() {
		return ""
	}
	return s.For(owner).Origin()
}

// onPorts returns host as Host headers spell it, on the ports of the public URL.
func (s Site) onPorts(host string) []string {
	first := s.Hosts[0]
	_, port, err := net.SplitHostPort(first)
	standard := standardPort(s.Scheme)
	switch {
	case err != nil:
		return []string{host, host + ":" + standard}
	case port == standard:
		return []string{host + ":" + port, host}
	}
	return []string{host + ":" + port}
}

// WithoutPort returns a Host header value without its port. An IPv6 address keeps its
// brackets, as Envoy compares it.
func WithoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

func standardPort(scheme string) string {
	return map[string]string{"http": "80", "https": "443"}[scheme]
}
