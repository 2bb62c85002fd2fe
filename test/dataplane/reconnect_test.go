package dataplane

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/publish"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	sites "github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const manyUsers = 100_000

// manyName is as long as names from a directory get.
func manyName(i int) string {
	return fmt.Sprintf("person-%06d-of-the-department-of-physics-at-the-university", i)
}

// plane is an xds-server without a Kubernetes API: 100 000 pods are handed to it.
type plane struct {
	store *ads.Store
	pub   *publish.Publisher
	grpc  *grpc.Server
	nacks atomic.Int64
}

// newPlane publishes every user but those that left, whose pods have the given IP when
// it says so.
func (s *env) newPlane(left map[int]bool, moved map[int]string) *plane {
	s.t.Helper()
	p := &plane{}
	site := sites.Site{Scheme: "http", Hosts: []string{publicHost}}
	p.store = ads.NewStore(func(ads.Nack) { p.nacks.Add(1) }, resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType, resourcev3.SecretType)
	settings := listener.Settings{
		Address: "127.0.0.1", Port: 8000, Site: site, Authz: "unix:/nowhere", Login: "unix:/nowhere", Hub: "127.0.0.1:1",
		ServersCA: string(pki.New(s.t).Pair().Chain),
	}
	s.publishEdge(p.store, settings)
	p.pub = publish.New(p.store, func(_, pod, _, reason string) { s.t.Errorf("%s: %s", pod, reason) },
		scopes.Settings{Site: site, ServerKey: []byte(strings.Repeat("k", 32))}, shard.Shard{})
	for i := range manyUsers {
		ip := "10.99.1.1"
		if moved[i] != "" {
			ip = moved[i]
		}
		if !left[i] {
			p.pub.Set(s.newPod(fmt.Sprintf("pod-%d", i), server.ID{User: manyName(i)}, ip+":8888", spawned("n")))
		}
	}
	if err := p.pub.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// serve answers at the env's socket.
func (p *plane) serve(s *env) {
	s.t.Helper()
	l, err := run.Listen("unix:" + s.path("server.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	p.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(ads.MaxRequestBytes))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.grpc, ads.NewServer(p.store))
	go func() { _ = p.grpc.Serve(l) }()
	s.t.Cleanup(p.grpc.Stop)
}

// counted forwards Envoy's connections and counts what they carry.
type counted struct{ up, down atomic.Int64 }

func (s *env) startCounted() *counted {
	s.t.Helper()
	l, err := run.Listen("unix:" + s.path("xds.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	c := &counted{}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", s.path("server.sock"))
			if err != nil {
				_ = from.Close()
				continue
			}
			go c.copy(to, from, &c.up)
			go c.copy(from, to, &c.down)
		}
	}()
	return c
}

func (c *counted) copy(to, from net.Conn, n *atomic.Int64) {
	_, _ = io.Copy(io.MultiWriter(to, counter{n}), from)
	_, _ = to.Close(), from.Close()
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// R4 at 100 000 users: the xds-server dies and another one takes over. Envoy names all
// that it has, is sent only what differs, removals included, and serves everybody
// meanwhile.
func TestR4_ReconnectWithAHundredThousandNames(t *testing.T) {
	if testing.Short() {
		t.Skip("100 000 routes take a while")
	}
	gate := pki.New(t).Issue(contract.NameGateway, time.Hour)
	s := &env{t: t, dir: shortDir(t)}
	first := s.newPlane(nil, nil)
	first.serve(s)
	tap := s.startCounted()
	s.envoy = envoyproc.Start(t, envoyproc.Options{Node: "many", XDSSock: s.path("xds.sock"), TLS: gate})
	wait.Within(s.t, 5*time.Minute, "Envoy has 100 000 routes", s.envoy.IsReady)
	full := tap.down.Load()
	// Without authz a route answers 503, no route 424.
	has := func(i int) bool { return s.raw("GET", "/user/"+manyName(i)+"/api").code == 503 }
	for _, i := range []int{0, manyUsers / 2, manyUsers - 1} {
		if !has(i) {
			t.Fatalf("person %d has no route", i)
		}
	}

	first.grpc.Stop()
	left, moved := map[int]bool{}, map[int]string{}
	for i := range 10 {
		left[i], moved[1000+i] = true, "10.99.2.2"
	}
	second := s.newPlane(left, moved)
	if !has(5) || !has(manyUsers-1) {
		t.Error("routes vanished with the xds-server")
	}
	up, down := tap.up.Load(), tap.down.Load()
	second.serve(s)
	wait.Within(s.t, time.Minute, "Envoy hears who has left", func() bool {
		if !has(manyUsers-1) || !has(1005) {
			t.Fatal("somebody who stayed lost the route during the reconnect")
		}
		return !has(5)
	})
	wait.Within(s.t, time.Minute, "Envoy has ACKed who moved", func() bool {
		envoys, acked := second.store.Acked(resourcev3.ScopedRouteType, manyName(1005))
		return envoys == 1 && acked == 1
	})
	up, down = tap.up.Load()-up, tap.down.Load()-down
	t.Logf("first push %d bytes; reconnect: Envoy sends %d bytes and receives %d", full, up, down)
	if up < manyUsers*50 || up > ads.MaxRequestBytes {
		t.Errorf("Envoy named its resources in %d bytes; the limit is %d", up, ads.MaxRequestBytes)
	}
	if down > 100<<10 {
		t.Errorf("%d bytes for 20 changes: everything was sent again", down)
	}
	if n := first.nacks.Load() + second.nacks.Load(); n != 0 {
		t.Errorf("%d resources were refused", n)
	}
}
