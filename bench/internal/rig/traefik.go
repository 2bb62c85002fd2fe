package rig

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// TraefikVersion is the release that bench/traefik builds.
const TraefikVersion = "v3.6.7"

// TraefikPath is where the built program lies.
func TraefikPath() string { return Cache("bench", "traefik-"+TraefikVersion) }

// HasTraefik reports whether it was built.
func HasTraefik() bool {
	_, err := os.Stat(TraefikPath())
	return err == nil
}

// Traefik is another proxy for Kubernetes, here without any middleware.
type Traefik struct {
	*Proc
	Addr string
}

// StartTraefik runs it with a route for each of the first n users. It returns nil when
// the program was never built.
func (r *Rig) StartTraefik(n int) (*Traefik, error) {
	if !HasTraefik() {
		fmt.Fprintln(os.Stderr, "Traefik is left out; build it with: go -C bench run ./traefik")
		return nil, nil
	}
	var routers, services strings.Builder
	for i := range n {
		fmt.Fprintf(&routers, "    u%d: {rule: \"PathPrefix(`/user/%s/`)\", service: u%d, entryPoints: [web]}\n", i, User(i), i)
		fmt.Fprintf(&services, "    u%d: {loadBalancer: {servers: [{url: \"http://%s:%d\"}]}}\n", i, PodIP(i), UpstreamPort)
	}
	file := r.Path("traefik-routes.yaml")
	if err := os.WriteFile(file, []byte("http:\n  routers:\n"+routers.String()+"  services:\n"+services.String()), 0o600); err != nil {
		return nil, fmt.Errorf("routes of Traefik: %w", err)
	}
	t := &Traefik{Addr: r.addr()}
	var err error
	t.Proc, err = r.start("traefik", []string{"GOMAXPROCS=1"}, TraefikPath(), "--entryPoints.web.address="+t.Addr,
		"--providers.file.filename="+file, "--providers.file.watch=false", "--log.level=ERROR", "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false")
	if err != nil {
		return nil, err
	}
	return t, t.wait("it leads to the last user", 2*time.Minute, func() bool { return answers(http.DefaultClient, "http://"+t.Addr+Path(n-1)) })
}
