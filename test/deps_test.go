// Package test holds what is true of the whole tree.
package test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/perijove/perijove/test/internal/repo"
)

// forbidden lists imports that a package, or a binary with all that it links, must
// not have, and why.
var forbidden = []struct {
	pkg, imports, why string
}{
	{"./cmd/authz", "github.com/envoyproxy/go-control-plane/pkg", "authz answers Envoy, it configures none"},
	{"./cmd/authz", "github.com/perijove/perijove/pkg/routes", "authz judges the route that Envoy picked, it builds none"},
	{"./cmd/authz", "github.com/perijove/perijove/pkg/spawn", "whoever opens sessions must not start pods"},
	{"./cmd/xds-server", "github.com/go-ldap/ldap", "the xds-server sees no password"},
	{"./cmd/xds-server", "github.com/coreos/go-oidc", "the xds-server logs nobody in"},
	{"./cmd/xds-server", "golang.org/x/oauth2/clientcredentials", "the xds-server logs nobody in"},
	{"./cmd/xds-server", "github.com/perijove/perijove/pkg/session", "the xds-server has no session key"},
	{"./cmd/xds-server", "github.com/perijove/perijove/pkg/spawn", "the xds-server creates nothing"},
	{"./cmd/spawner", "github.com/envoyproxy/go-control-plane", "the spawner configures no Envoy"},
	{"./cmd/spawner", "github.com/go-ldap/ldap", "the spawner sees no password"},
	{"./cmd/spawner", "github.com/coreos/go-oidc", "the spawner logs nobody in"},
	{"./cmd/spawner", "github.com/perijove/perijove/pkg/session", "the spawner opens no session; it believes Envoy's headers over mutual TLS"},

	{"./envoy/drain", "k8s.io", "what runs beside Envoy has no business with the cluster"},
	{"./envoy/drain", "github.com/envoyproxy/go-control-plane", "it asks the admin port, and weighs 6 MB in Envoy's image"},
	{"./pkg/edge", "k8s.io", "a certificate is two texts, wherever they come from"},

	{"./pkg/contract", "k8s.io", "names that processes share need the standard library only"},
	{"./pkg/notebook", "k8s.io", "what a server is does not depend on where it runs"},
	{"./pkg/notebook/podform", "k8s.io/client-go", "reading a pod needs no client"},
	{"./pkg/routes", "google.golang.org/grpc", "building routes needs no connection"},
	{"./pkg/routes", "k8s.io", "routes are built from servers, not from pods"},
	{"./pkg/edge", "google.golang.org/grpc", "building the listener needs no connection"},
	{"./pkg/policy", "github.com/envoyproxy", "the decision sees no protobuf"},
	{"./pkg/policy", "log/slog", "the decision is a value"},
	{"./pkg/session", "net/http", "a codec does no I/O"},
	{"./pkg/spawn", "k8s.io/client-go", "desired objects are values"},
}

func TestForbiddenImports(t *testing.T) {
	t.Parallel()
	linked := map[string][]string{}
	for _, f := range forbidden {
		t.Run(f.pkg+" without "+f.imports, func(t *testing.T) {
			if linked[f.pkg] == nil {
				linked[f.pkg] = deps(t, f.pkg)
			}
			for _, dep := range linked[f.pkg] {
				if dep == f.imports || strings.HasPrefix(dep, f.imports+"/") {
					t.Errorf("%s links %s: %s", f.pkg, dep, f.why)
				}
			}
		})
	}
}

// TestTheCheckSeesImports is the negative control: what must be there is found.
func TestTheCheckSeesImports(t *testing.T) {
	for pkg, want := range map[string]string{
		"./cmd/authz":      "github.com/go-ldap/ldap/v3",
		"./cmd/xds-server": "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3",
		"./cmd/spawner":    "k8s.io/client-go/kubernetes",
	} {
		found := false
		for _, dep := range deps(t, pkg) {
			found = found || dep == want
		}
		if !found {
			t.Errorf("%s does not link %s, or the check is blind", pkg, want)
		}
	}
}

func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", pkg)
	cmd.Dir = repo.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
