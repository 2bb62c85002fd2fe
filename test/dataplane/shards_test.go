package dataplane

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

const (
	shards    = 2
	frontAddr = "127.0.0.1:8010"
	noRoute   = 424 // a gateway's answer for a server that it does not know
)

func shardAddr(n int) string { return fmt.Sprintf("127.0.0.1:%d", 8020+n) }

// startShards runs one gateway for each shard and, before them, envoy/front.yaml.
func (s *env) startShards(edit func(front string) string) {
	for n := range shards {
		name := fmt.Sprintf("shard-%d", n)
		cfg := s.xdsConfig()
		cfg.Listen = xdsapp.Listen{XDS: "unix:" + s.path(name+".sock"), Private: fmt.Sprintf("127.0.0.1:%d", 9170+n)}
		cfg.Shard = shard.Shard{Number: n, Of: shards}
		cfg.Envoy.Port, cfg.Envoy.TrustedHops = uint32(8020+n), 1
		if err := cfg.Validate(); err != nil {
			s.t.Fatal(err)
		}
		s.run(name, func(ctx context.Context, log *slog.Logger) error { return xdsapp.RunWith(ctx, cfg, s.client, log) })
		envoyproc.Start(s.t, envoyproc.Options{Node: name, XDSSock: s.path(name + ".sock"), TLS: s.gate}).Ready(s.t)
	}
	front := frontBootstrap(s.t)
	envoyproc.Start(s.t, envoyproc.Options{Node: "front", XDSSock: "/nowhere", TLS: s.gate, Edit: func(own string) string {
		admin := regexp.MustCompile(`127\.0\.0\.1, port_value: \d+`).FindString(own)
		return edit(strings.Replace(front, "127.0.0.1, port_value: 9901", admin, 1))
	}})
	wait.Until(s.t, "the front listens", func() bool {
		conn, err := net.Dial("tcp", frontAddr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	wait.Until(s.t, "the front answers", func() bool { return s.rawAt(frontAddr, "GET", "/hub/login").code == 200 })
}

// frontBootstrap is envoy/front.yaml with this test's gateways.
func frontBootstrap(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo.Root(t), "envoy", "front.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: 8010", 1)
	for n := range shards {
		address := fmt.Sprintf("address: perijove-gateway-%d.perijove.svc, port_value: 80 ", n)
		if !strings.Contains(text, address) {
			t.Fatalf("envoy/front.yaml has no gateway %q", address)
		}
		text = strings.ReplaceAll(text, address, fmt.Sprintf("address: 127.0.0.1, port_value: %d ", 8020+n))
	}
	return text
}

func unchanged(front string) string { return front }

// The front finds each user's gateway by the same sum as the xds-servers, in each spelling of a name.
func TestTheFrontFindsEachShard(t *testing.T) {
	s := newEnv(t)
	s.startShards(unchanged)
	owners := []string{"alice", "bob", "carol", "dora", "a@b", "a+b", "é", "x.y-z_~", "0"}
	upstream := newUpstream(t, "10.99.0.1", "anybody").addr
	for i, owner := range owners {
		s.addPod(fmt.Sprintf("jupyter-%d", i), server.ID{User: owner}, upstream)
	}
	used := map[int]bool{}
	for _, owner := range owners {
		for _, spelling := range server.Spellings(owner) {
			own := shard.Of(spelling, shards)
			used[own] = true
			path := "/user/" + spelling + "/api?x=/user/other"
			wait.Until(t, path+" is routed", func() bool { return s.rawAt(shardAddr(own), "GET", path).code == 401 })
			if got := s.rawAt(shardAddr(1-own), "GET", path).code; got != noRoute {
				t.Errorf("%s: the other gateway answers %d, want %d", path, got, noRoute)
			}
			if got := s.rawAt(frontAddr, "GET", path, "X-Perijove-Shard: shard-"+fmt.Sprint(1-own)).code; got != 401 {
				t.Errorf("%s: through the front %d, want 401", path, got)
			}
		}
	}
	if len(used) != shards {
		t.Errorf("the names of this test are in the shards %v only", used)
	}
}

// Negative control: a front with another number of shards leads users astray, and they see that
// their server has no route there.
func TestAFrontThatCountsOtherwiseFindsNothing(t *testing.T) {
	s := newEnv(t)
	s.startShards(func(front string) string {
		return strings.Replace(front, "local SHARDS = 2", "local SHARDS = 1", 1)
	})
	owner := "alice"
	for i := 0; shard.Of(owner, shards) == 0; i++ {
		owner = fmt.Sprintf("alice-%d", i)
	}
	s.addPod("jupyter", server.ID{User: owner}, newUpstream(t, "10.99.0.1", owner).addr)
	path := "/user/" + owner + "/api"
	wait.Until(t, "her gateway has the route", func() bool { return s.rawAt(shardAddr(1), "GET", path).code == 401 })
	if got := s.rawAt(frontAddr, "GET", path).code; got != noRoute {
		t.Errorf("through the front %d, want %d", got, noRoute)
	}
}

// A user logs in through any gateway and works behind her own, over plain requests and a websocket.
func TestWorkingThroughTheFront(t *testing.T) {
	s := newEnv(t)
	s.startShards(unchanged)
	for i, owner := range []string{"alice", "bob"} {
		s.addPod("jupyter-"+owner, server.ID{User: owner}, newUpstream(t, fmt.Sprintf("10.99.0.%d", i+1), owner).addr)
	}
	alice := s.newPersonAt(frontAddr)
	alice.login("alice", url.Values{})
	wait.Until(t, "alice's server answers", func() bool { return alice.visit("/user/alice/lab").code == 200 })
	if got := alice.visit("/user/bob/lab").code; got != 403 {
		t.Errorf("alice at bob's server: %d, want 403", got)
	}
	conn, code, err := alice.dial("/user/alice/ws", s.base())
	if err != nil {
		t.Fatalf("no websocket through the front: %d, %v", code, err)
	}
	_ = conn.CloseNow()
}
