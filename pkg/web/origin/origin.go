package origin

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Site is one installation as browsers see it.
type Site struct {
	// Scheme is "http" or "https".
	Scheme string
	// Hosts are the accepted Host header values in lower case, with their port if any.
	Hosts []string
	// UserDomain is where each person's servers have a host of their own; "" when all share
	// Hosts.
	UserDomain string
}

// Parse reads the public URL, http(s)://host[:port], and further hosts as a browser
// sends them. The scheme's own port may be written or left out.
func Parse(publicURL string, extraHosts []string) (Site, error) {
	u, err := url.Parse(publicURL)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return Site{}, errors.New("must be http://host[:port] or https://host[:port]")
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return Site{}, errors.New("must have no path: the platform is served at the root of its host")
	}
	host := strings.ToLower(u.Host)
	s := Site{Scheme: u.Scheme, Hosts: []string{host}}
	standard := standardPort(u.Scheme)
	switch u.Port() {
	case "":
		s.Hosts = append(s.Hosts, net.JoinHostPort(strings.Trim(host, "[]"), standard))
	case standard:
		s.Hosts = append(s.Hosts, strings.TrimSuffix(host, ":"+standard))
	}
	for _, h := range extraHosts {
		if h == "" || strings.ContainsAny(h, "/*, ") {
			return Site{}, fmt.Errorf("the extra host %q must be host or host:port", h)
		}
		if h = strings.ToLower(h); !slices.Contains(s.Hosts, h) {
			s.Hosts = append(s.Hosts, h)
		}
	}
	return s, nil
}

// Answers reports whether host, a Host header, is ours.
func (s Site) Answers(host string) bool {
	return host != "" && slices.Contains(s.Hosts, strings.ToLower(host))
}

// Same reports whether origin, an Origin header (RFC 6454 §7), is that of our page at
// host. It never is for "null" or several origins at once.
func (s Site) Same(origin, host string) bool {
	return s.Answers(host) && strings.EqualFold(origin, s.Scheme+"://"+host)
}

// Secure reports whether cookies must be.
func (s Site) Secure() bool { return s.Scheme == "https" }
