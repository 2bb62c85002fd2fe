package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// StartFront runs an Envoy with envoy/front.yaml before so many shards, of which only the first
// runs. Each of its replacements must hit, so that the file and this benchmark cannot drift apart.
func (r *Rig) StartFront(first *Gateway, shards int) (*Envoy, error) {
	data, err := os.ReadFile(filepath.Join(Root(), "envoy", "front.yaml"))
	if err != nil {
		return nil, fmt.Errorf("the front's bootstrap: %w", err)
	}
	text, addr, admin := string(data), r.addr(), r.addr()
	for _, change := range [][2]string{
		{"local SHARDS = 2", "local SHARDS = " + strconv.Itoa(shards)},
		{"address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: " + port(addr)},
		{"address: 127.0.0.1, port_value: 9901", "address: 127.0.0.1, port_value: " + port(admin)},
	} {
		if !strings.Contains(text, change[0]) {
			return nil, fmt.Errorf("envoy/front.yaml no longer contains %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	gateway := regexp.MustCompile(`address: perijove-gateway-\d\.perijove\.svc, port_value: 80`)
	if !gateway.MatchString(text) {
		return nil, fmt.Errorf("envoy/front.yaml has no gateways")
	}
	text = gateway.ReplaceAllLiteralString(text, "address: 127.0.0.1, port_value: "+port(first.Envoy.Addr))
	return r.startEnvoy("front", text, addr, admin, 1, 20*time.Second)
}
