package contract_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

var pod = netip.MustParseAddrPort("10.0.0.1:8888")

func TestRouteNames(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]contract.Route{
		"hub":                              {Kind: contract.KindHub},
		"/user/alice/ alice 10.0.0.1:8888": {Kind: contract.KindServer, Prefix: "/user/alice/", Owner: "alice", Address: pod},
		"/user/alice/ alice 10.0.0.1:8888 logout":       {Kind: contract.KindServer, Prefix: "/user/alice/", Owner: "alice", Address: pod, Logout: true},
		"/user/a%20b/c%2Bd/ a%20b [fd00::1]:80":         {Kind: contract.KindServer, Prefix: "/user/a%20b/c%2Bd/", Owner: "a b", Server: "c+d", Address: netip.MustParseAddrPort("[fd00::1]:80")},
		"/user/o%27neil/logout/ o%27neil 10.0.0.1:8888": {Kind: contract.KindServer, Prefix: "/user/o%27neil/logout/", Owner: "o'neil", Server: "logout", Address: pod},
	} {
		if got := r.Name(); got != want {
			t.Errorf("the name is %q, want %q", got, want)
		}
		if got, err := contract.ParseRoute(want); err != nil || got != r {
			t.Errorf("%q is read as %+v, %v", want, got, err)
		}
	}
}

// P1: a name that could be read in two ways leads nobody anywhere.
func TestP1_OtherNamesAreNoRoute(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "-", " ", "hub ", "Hub", "server", "/user/alice/", "/user/alice/ alice", "/user/alice/ alice ", "/user/alice/ alice 10.0.0.1",
		"/user/alice/ bob 10.0.0.1:8888", "/user/alice alice 10.0.0.1:8888", "/user// alice 10.0.0.1:8888", "/user//  10.0.0.1:8888",
		"/user/alice/x alice 10.0.0.1:8888", "/user/alice/x/y/ alice 10.0.0.1:8888", "/user/alice// alice 10.0.0.1:8888", "/hub/alice/ alice 10.0.0.1:8888",
		"/user/%zz/ %zz 10.0.0.1:8888", "/user/alice/%zz/ alice 10.0.0.1:8888", "/user/alice/ alice 10.0.0.1:8888 logout x",
		"/user/alice/ alice 10.0.0.1:8888 Logout", "/user/alice/ alice  10.0.0.1:8888", " /user/alice/ alice 10.0.0.1:8888",
		"/user/alice/ alice 10.0.0.1:8888\n",
	} {
		if r, err := contract.ParseRoute(name); err == nil {
			t.Errorf("%q is read as %+v", name, r)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("/user/alice/demo/ alice 10.0.0.1:8888 logout")
	f.Add("/user/a%20b/ a%20b [fd00::1]:80")
	f.Fuzz(func(t *testing.T, name string) {
		r, err := contract.ParseRoute(name)
		if err != nil {
			return
		}
		again, err := contract.ParseRoute(r.Name())
		if err != nil || again != r {
			t.Fatalf("%q is read as %+v, and its name %q as %+v, %v", name, r, r.Name(), again, err)
		}
		if r.Kind == contract.KindServer && !strings.HasPrefix(r.Prefix, contract.PathUser) {
			t.Fatalf("%q is a server's without a server's prefix", name)
		}
	})
}
