package origin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
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

// HostPattern matches a Host header value that the platform can have: a name in ASCII (a
// browser sends others in punycode), an IPv4 or IPv6 address, and perhaps a port. The chart
// checks its values with the same patterns.
const (
	HostPattern = `^` + host + `$`
	URLPattern  = `^https?://` + host + `/?$`

	host  = `(` + label + `(\.` + label + `)*|\[` + ipv6 + `\])(:` + port + `)?`
	label = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	port  = `([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	ipv6  = `(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}` +
		`|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}` +
		`|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}` +
		`|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))`
)

var (
	validHost = regexp.MustCompile(HostPattern)
	validURL  = regexp.MustCompile(URLPattern)
)

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
	if !validURL.MatchString(publicURL) {
		return Site{}, errors.New("must be http(s)://host[:port] with a host name of letters, digits, dashes and dots, or an IP address")
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
		if !validHost.MatchString(h) {
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

// OfRequest is the origin that a request was sent to. authz has compared its Host header with ours, and
// Envoy sets the scheme.
func OfRequest(r *http.Request) string {
	scheme := "http"
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host}).String()
}
