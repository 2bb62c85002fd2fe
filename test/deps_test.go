// Package test holds what is true of the whole tree.
package test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/test/repo"
)

const module = "github.com/perijove/perijove/"

// rooms says what each folder may import of this module: itself and the folders named here.
// Imports go one way: main → app → adapters → pure.
var rooms = []struct {
	folder string
	below  []string
	why    string
}{
	{"pkg/contract", nil, "names that processes share need the standard library only"},
	{"pkg/server", []string{"pkg/contract"}, "what a server is, and who may enter it, depends on no process"},
	{"pkg/web", []string{"pkg/contract", "pkg/server"}, "pages and addresses depend on no process"},
	{"pkg/run", []string{"pkg/contract"}, "a process's life depends on no service"},
	{"pkg/gateway", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run"}, "the xds-server sees no password and no session, and creates nothing"},
	{"pkg/auth", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run"}, "authz starts no pod and configures no Envoy"},
	{"pkg/hub", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run"}, "the spawner opens no session and configures no Envoy"},
	{"pkg/homes", []string{"pkg/contract", "pkg/server", "pkg/run"}, "the driver for late homes knows no page, no gateway and no spawner: it is root on every node"},
	{"pkg/assets", []string{"pkg/contract", "pkg/web/encoding"}, "files of foreign images are served by what knows no user, no key and no cluster"},
	{"cmd/xds-server", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run", "pkg/gateway"}, "its room is pkg/gateway"},
	{"cmd/authz", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run", "pkg/auth"}, "its room is pkg/auth"},
	{"cmd/spawner", []string{"pkg/contract", "pkg/server", "pkg/web", "pkg/run", "pkg/hub", "pkg/gateway/routestatus"}, "its room is pkg/hub; it asks the xds-servers which routes are served"},
	{"cmd/homes", []string{"pkg/contract", "pkg/server", "pkg/run", "pkg/homes"}, "its room is pkg/homes"},
	{"cmd/assets", []string{"pkg/contract", "pkg/run", "pkg/assets"}, "its room is pkg/assets"},
	{"envoy", []string{"pkg/contract"}, "what runs beside Envoy has no business with the cluster"},
}

// pure lists packages of values: what comes in decides what goes out.
var pure = []string{
	"pkg/contract", "pkg/server", "pkg/server/access", "pkg/server/podmeta", "pkg/web/redirect", "pkg/web/origin", "pkg/web/cookies", "pkg/web/agent", "pkg/web/encoding",
	"pkg/gateway/envoyapi", "pkg/gateway/scopes", "pkg/gateway/shard", "pkg/gateway/listener", "pkg/auth/identity", "pkg/auth/pass", "pkg/auth/session", "pkg/auth/tokens", "pkg/hub/cull", "pkg/hub/openapi", "pkg/hub/podlog", "pkg/hub/quota", "pkg/hub/spawn", "pkg/hub/spawn/pool", "pkg/hub/spawn/proof",
	"pkg/hub/announce", "pkg/hub/occupancy", "pkg/hub/roster", "pkg/homes/plan",
}

// effects are what a pure package must not import itself.
var effects = []string{"context", "log/slog", "os", "net/http/httptest", "k8s.io/client-go", "google.golang.org/grpc", "github.com/prometheus/client_golang"}

// libraries lists what a folder's packages and all that they link must not contain.
var libraries = []struct{ folder, library, why string }{
	{"cmd/authz", "github.com/envoyproxy/go-control-plane/pkg", "authz answers Envoy, it configures none"},
	{"cmd/xds-server", "github.com/go-ldap/ldap", "the xds-server sees no password"},
	{"cmd/xds-server", "github.com/coreos/go-oidc", "the xds-server logs nobody in"},
	{"cmd/spawner", "github.com/envoyproxy/go-control-plane", "the spawner configures no Envoy"},
	{"cmd/spawner", "github.com/go-ldap/ldap", "the spawner sees no password"},
	{"cmd/spawner", "github.com/coreos/go-oidc", "the spawner logs nobody in"},
	{"envoy/drain", "k8s.io", "what runs beside Envoy has no business with the cluster"},
	{"envoy/drain", "github.com/envoyproxy/go-control-plane", "it asks the admin port, and weighs 6 MB in Envoy's image"},
	{"pkg/gateway/scopes", "k8s.io", "routes are built from servers, not from pods"},
	{"pkg/gateway/listener", "k8s.io", "a certificate is two texts, wherever they come from"},
	{"pkg/server/podmeta", "k8s.io/client-go", "reading a pod needs no client"},
	{"pkg/hub/spawn", "k8s.io/client-go", "desired objects are values"},
	{"pkg/hub/diskspace", "k8s.io/client-go", "it is given a token and asks nodes, not the API"},
	{"pkg/hub", "k8s.io/client-go", "the pages know a Cluster, whatever it runs on"},
	{"pkg/hub/spawn/memory", "k8s.io/client-go", "it is there for tests without Kubernetes"},
	{"pkg/auth/session", "net/http", "a codec does no I/O"},
	{"cmd/xds-server", "github.com/google/go-containerregistry", "images are built before a service runs"},
	{"cmd/xds-server", "github.com/vishvananda/netlink", "only the one-node cluster changes the machine's network"},
	{"cmd/homes", "github.com/envoyproxy/go-control-plane", "the driver for late homes is root on every node: it links what it needs and no more"},
	{"cmd/homes", "github.com/vishvananda/netlink", "the driver mounts, and leaves the network alone"},
	{"pkg/homes/mount", "k8s.io/client-go", "system calls need no cluster"},
	{"cmd/authz", "github.com/google/go-containerregistry", "images are built before a service runs"},
	{"cmd/authz", "github.com/vishvananda/netlink", "only the one-node cluster changes the machine's network"},
	{"cmd/spawner", "github.com/andybalholm/brotli", "files are compressed when images are built"},
	{"cmd/spawner", "github.com/google/go-containerregistry", "images are built before a service runs"},
	{"cmd/spawner", "github.com/vishvananda/netlink", "only the one-node cluster changes the machine's network"},
}

// tree is what go list says of this module: per package its imports, and all that it links.
type tree struct{ imports, links map[string][]string }

func list(t *testing.T) tree {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}}|{{join .Imports \" \"}}|{{join .Deps \" \"}}", "./cmd/...", "./pkg/...", "./envoy/...")
	cmd.Dir = repo.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := tree{map[string][]string{}, map[string][]string{}}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		name := strings.TrimPrefix(fields[0], module)
		all.imports[name], all.links[name] = strings.Fields(fields[1]), strings.Fields(fields[2])
	}
	return all
}

// within reports whether a package is folder or below it.
func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// outside returns the imports of pkg that are of this module and in none of the folders.
func (all tree) outside(pkg string, folders []string) []string {
	var wrong []string
	for _, imported := range all.imports[pkg] {
		own, ok := strings.CutPrefix(imported, module)
		if ok && !slices.ContainsFunc(folders, func(f string) bool { return within(own, f) }) {
			wrong = append(wrong, own)
		}
	}
	return wrong
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	all := list(t)
	for pkg := range all.imports {
		known := false
		for _, room := range rooms {
			if !within(pkg, room.folder) {
				continue
			}
			known = true
			if wrong := all.outside(pkg, append(room.below, room.folder)); len(wrong) > 0 {
				t.Errorf("%s imports %v: %s", pkg, wrong, room.why)
			}
		}
		if !known {
			t.Errorf("%s is in no room", pkg)
		}
	}
}

func TestPurePackagesHaveNoEffects(t *testing.T) {
	t.Parallel()
	all := list(t)
	for _, pkg := range pure {
		if all.imports[pkg] == nil {
			t.Errorf("there is no package %s", pkg)
		}
		for _, imported := range all.imports[pkg] {
			for _, effect := range effects {
				if within(imported, effect) {
					t.Errorf("%s imports %s; it is a package of values", pkg, imported)
				}
			}
		}
	}
}

func TestForbiddenLibraries(t *testing.T) {
	t.Parallel()
	all := list(t)
	for _, rule := range libraries {
		if all.links[rule.folder] == nil {
			t.Errorf("there is no package %s", rule.folder)
		}
		for _, linked := range all.links[rule.folder] {
			if within(linked, rule.library) {
				t.Errorf("%s links %s: %s", rule.folder, linked, rule.why)
			}
		}
	}
}

// TestTheChecksSeeImports is the negative control: each check finds what is known to be there.
func TestTheChecksSeeImports(t *testing.T) {
	t.Parallel()
	all := list(t)
	if len(all.outside("cmd/authz/app", []string{"pkg/run"})) == 0 {
		t.Error("the rule of rooms does not see that cmd/authz/app imports pkg/auth")
	}
	for pkg, library := range map[string]string{
		"cmd/authz":      "github.com/go-ldap/ldap/v3",
		"cmd/xds-server": "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3",
		"cmd/spawner":    "k8s.io/client-go/kubernetes",
	} {
		if !slices.Contains(all.links[pkg], library) {
			t.Errorf("%s does not link %s, or the check is blind", pkg, library)
		}
	}
}
