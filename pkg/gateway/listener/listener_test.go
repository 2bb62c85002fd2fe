package listener_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/golden"
)

// TestEdge shows everything that an Envoy is told besides routes, for the sidecar
// layout and for an Envoy elsewhere.
func TestEdge(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, in map[string][]byte) []txtar.File {
		var s listener.Settings
		if err := yaml.UnmarshalStrict(in["settings.yaml"], &s); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, listener := range listener.Listeners(s) {
			if err := listener.ValidateAll(); err != nil {
				t.Errorf("Envoy's own validation refuses listener %s: %v", listener.GetName(), err)
			}
			fmt.Fprintf(&out, "--- listener %s\n%s", listener.GetName(), golden.YAML(t, listener))
		}
		for _, c := range listener.Clusters(s) {
			if err := c.ValidateAll(); err != nil {
				t.Errorf("cluster %s: %v", c.GetName(), err)
			}
			fmt.Fprintf(&out, "--- cluster %s\n%s", c.GetName(), golden.YAML(t, c))
		}
		return golden.Want(out.Bytes())
	})
}

func settings() listener.Settings {
	return listener.Settings{Address: "0.0.0.0", Port: 8000, Site: origin.Site{Scheme: "http", Hosts: []string{"h"}}, PassChecked: true, Authz: "unix:/a", Login: "unix:/l", Hub: "hub:1"}
}

// A listener that only looks changed would drain everyone's websockets.
func TestListenerIsTheSameBytesEveryTime(t *testing.T) {
	first, err := proto.Marshal(listener.Listener(settings()))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(listener.Listener(settings()))
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != len(first) {
			t.Fatal("the listener differs between two builds")
		}
	}
}

// H1: whatever private header the contract gains, the edge strips it, and what changes
// the meaning of a request elsewhere.
func TestH1_PrivateHeadersAreStrippedFirst(t *testing.T) {
	text := string(golden.YAML(t, listener.Listener(settings())))
	if !strings.Contains(text, "prefix: "+contract.PrivatePrefix) {
		t.Error("private headers are not removed from client requests")
	}
	for _, h := range []string{
		contract.HeaderScope, contract.HeaderDestination, contract.HeaderProofName, contract.HeaderServerSecret, contract.HeaderPassOwner,
		contract.HeaderUser, contract.HeaderDisplayName, contract.HeaderAdmin, contract.HeaderXSRF,
	} {
		if !strings.HasPrefix(h, contract.PrivatePrefix) {
			t.Errorf("%s does not begin with %s", h, contract.PrivatePrefix)
		}
	}
}

// The script that judges last names headers as everybody else does.
func TestScriptNamesTheContractsHeaders(t *testing.T) {
	script, err := os.ReadFile("confine.lua")
	if err != nil {
		t.Fatal(err)
	}
	for local, header := range map[string]string{
		"PRIVATE": contract.PrivatePrefix, "PASS_OWNER": contract.HeaderPassOwner, "USER": contract.HeaderUser, "DESTINATION": contract.HeaderDestination,
	} {
		if line := fmt.Sprintf("\nlocal %s = %q\n", local, header); !strings.Contains(string(script), line) {
			t.Errorf("confine.lua has no line %q", line)
		}
	}
}

// S11: a websocket passes the checks that a request passes, in their order.
func TestS11_UpgradesPassEveryCheck(t *testing.T) {
	manager := &hcmv3.HttpConnectionManager{}
	if err := listener.Listener(settings()).GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	requests := slices.DeleteFunc(manager.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool { return f.GetName() == envoyapi.CompressFilter })
	for _, upgrade := range manager.GetUpgradeConfigs() {
		rest := upgrade.GetFilters()
		for _, check := range requests {
			i := slices.IndexFunc(rest, func(f *hcmv3.HttpFilter) bool { return proto.Equal(f, check) })
			if i < 0 {
				t.Fatalf("%s does not pass %s, or not in this order", upgrade.GetUpgradeType(), check.GetName())
			}
			rest = rest[i+1:]
		}
		if upgrade.GetEnabled().GetValue() {
			t.Errorf("%s is allowed on every route", upgrade.GetUpgradeType())
		}
	}
	if len(requests) < 2 || len(manager.GetUpgradeConfigs()) == 0 {
		t.Error("nothing was compared")
	}
}

func TestCheckUpstream(t *testing.T) {
	for _, good := range []string{"unix:/run/x.sock", "hub.ns.svc:8081", "[::1]:80"} {
		if err := listener.CheckUpstream(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "unix:x.sock", "hub", "hub:", "hub:0", "hub:99999", "hub:http"} {
		if listener.CheckUpstream(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
