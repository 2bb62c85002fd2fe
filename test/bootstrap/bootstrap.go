// Package bootstrap makes envoy/bootstrap.yaml fit a test or benchmark on one machine:
// its fixed paths and ports become the caller's. It starts nothing.
package bootstrap

import (
	"fmt"
	"strings"
)

// Places are what the bootstrap fixes and a test chooses.
type Places struct {
	TLSDir      string // holds tls.crt, tls.key and ca.crt
	XDSSock     string
	AdminPort   string
	PrivatePort string // on 127.0.0.1
}

// Fit returns text with p in it. Each replacement must hit, so that the file and its
// users cannot drift apart.
func Fit(text string, p Places) (string, error) {
	for _, r := range [][2]string{
		{"/etc/perijove/tls", p.TLSDir},
		{"/run/perijove/xds.sock", p.XDSSock},
		{"port_value: 9901", "port_value: " + p.AdminPort},
		{"address: 0.0.0.0, port_value: 8002", "address: 127.0.0.1, port_value: " + p.PrivatePort},
	} {
		if !strings.Contains(text, r[0]) {
			return "", fmt.Errorf("envoy/bootstrap.yaml no longer contains %q", r[0])
		}
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return text, nil
}
