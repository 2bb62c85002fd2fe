package dataplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// nasty are texts that somebody might put anywhere.
var nasty = []string{
	"", ".", "..", "*", "alice", "al ice", "Alice", "a/b", `a\b`, "a;b", "a?b", "a#b", "a%2fb", "%2e%2e", "a(b", "[", "(?i)", `\Q`, "^$",
	"a\x00b", "a\r\nX-Perijove-User: root", "\xff\xfe", "张伟", "é", "e\u0301", "\u202eecila", "a\u2028b", "%REQ(cookie)%", "%%", "{{.}}",
	"login", "static", "api", "logout", "hub", "-1", "0", "1e3", "65536", "70000", "8888", strings.Repeat("x", 255), strings.Repeat("y", 256), strings.Repeat("z", 70000),
}

// R14, X7: hundreds of pods as bad as can be are skipped or served; the real Envoy
// refuses none of what becomes of them, and a good one among them works.
func TestX7_HostilePodsReachEnvoyOrNobody(t *testing.T) {
	s := newEnv(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func() string { return nasty[random.IntN(len(nasty))] }
	for i := range 400 {
		s.addPod(fmt.Sprintf("hostile-%d", i), server.ID{User: "x"}, "10.99.0.9:8888", func(p *corev1.Pod) {
			p.Annotations = map[string]string{
				contract.LabelUsername: pick(), contract.LabelServername: pick(), contract.AnnotationNonce: pick(),
			}
			if random.IntN(2) == 0 {
				p.Annotations[contract.AnnotationStripPrefix] = "true"
			}
			if random.IntN(4) == 0 {
				p.Annotations[contract.AnnotationPort] = pick()
				p.Spec.Containers[0].Ports[0].Name = "other"
			}
			if random.IntN(8) == 0 {
				p.Status.PodIP = []string{"127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1%lo", "224.0.0.1", "nonsense", "::ffff:127.0.0.1"}[random.IntN(8)]
			}
			if random.IntN(8) == 0 {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: -1}, {ContainerPort: 99999}, {Name: contract.PortName}}
			}
		})
	}
	s.addPod("jupyter-carol", server.ID{User: "carol"}, newUpstream(t, "10.99.0.1", "carol").addr)
	carol := s.login("carol")
	wait.Until(s.t, "the good pod works", func() bool { return carol.visit("/user/carol/lab").code == 200 })
	metrics := httpGet(t, "http://127.0.0.1:9101/metrics")
	if strings.Contains(metrics, "perijove_xds_nacks_total{") {
		t.Errorf("Envoy refused a resource:\n%s", s.logs["xds-server"].String())
	}
	for _, line := range []string{"perijove_servers_routed 1\n", "perijove_pods_skipped 0\n"} { // negative control: both kinds were there
		if strings.Contains(metrics, line) {
			t.Errorf("the pods were not of both kinds: %s", line)
		}
	}
}

// ads opens a raw delta stream to the sidecar's socket.
func (s *env) ads(node string) discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient {
	s.t.Helper()
	conn, err := grpc.NewClient("unix:"+s.path("xds.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); _ = conn.Close() })
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: resourcev3.ScopedRouteType}); err != nil {
		s.t.Fatal(err)
	}
	return stream
}

// crowd adds n people whose pods are all at one address.
func (s *env) crowd(n int) {
	s.t.Helper()
	for i := range n {
		s.addPod(fmt.Sprintf("crowd-%d", i), server.ID{User: fmt.Sprintf("person-%d", i)}, "10.99.0.9:8888")
	}
}

// comesAndGoes shows that routes still reach the real Envoy.
func (s *env) comesAndGoes(name string) {
	s.t.Helper()
	s.addPod(name, server.ID{User: name}, "10.99.0.9:8888")
	s.routed("/user/"+name+"/api", true)
	s.deletePod(name)
	s.routed("/user/"+name+"/api", false)
}

// An Envoy that refuses everything costs two responses a resource, a bounded log, and
// nobody else anything.
func TestAnEnvoyThatRefusesEverything(t *testing.T) {
	s := newEnv(t)
	s.crowd(300)
	s.routed("/user/person-299/api", true)
	stream := s.ads("refuser")
	refused, responses := map[string]bool{}, 0
	for len(refused) < 300 {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if responses++; responses > 2*(300+20) {
			t.Fatalf("%d responses for %d refused resources", responses, len(refused))
		}
		if r := resp.GetResources(); len(r) == 1 {
			refused[r[0].GetName()] = true
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: resourcev3.ScopedRouteType, ResponseNonce: resp.GetNonce(), ErrorDetail: &statusv3.Status{Message: "no"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.comesAndGoes("guest")
	if lines := strings.Count(s.logs["xds-server"].String(), "Envoy refuses"); lines == 0 || lines > 100 {
		t.Errorf("%d lines in the log for %d refused resources", lines, len(refused))
	}
}

// An Envoy that never reads: routes go on reaching the others, and what waits for it
// is its present state, not a history.
func TestAnEnvoyThatNeverReads(t *testing.T) {
	s := newEnv(t)
	s.crowd(1000) // more than the flow control's window
	s.routed("/user/person-999/api", true)
	deaf := s.ads("deaf")
	wait.Until(s.t, "the deaf Envoy is connected", func() bool {
		return strings.Contains(httpGet(t, "http://127.0.0.1:9101/metrics"), "perijove_xds_envoys 2")
	})
	for i := range 100 {
		s.comesAndGoes(fmt.Sprintf("guest-%d", i%10))
	}
	s.addPod("last", server.ID{User: "last"}, "10.99.0.9:8888")
	s.routed("/user/last/api", true)

	first, err := deaf.Recv()
	if err != nil || len(first.GetResources()) < 1000 {
		t.Fatalf("the first response has %d resources, %v", len(first.GetResources()), err)
	}
	if err := deaf.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ScopedRouteType, ResponseNonce: first.GetNonce()}); err != nil {
		t.Fatal(err)
	}
	second, err := deaf.Recv()
	if err != nil || len(second.GetResources()) != 1 || second.GetResources()[0].GetName() != "last" || len(second.GetRemovedResources()) != 0 {
		t.Errorf("after 200 changes that came to nothing and one that did not: %d resources, %d removals, %v",
			len(second.GetResources()), len(second.GetRemovedResources()), err)
	}
}

// X1: no method of any discovery service answers without a certificate of the list,
// and with one only delta ADS does.
func TestX1_EveryDiscoveryMethod(t *testing.T) {
	s := newEnv(t)
	s.startRemoteXDS()
	call := func(creds credentials.TransportCredentials, method string) codes.Code {
		conn, err := grpc.NewClient(remoteXDS, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if strings.Contains(method, "/Fetch") {
			return status.Code(conn.Invoke(ctx, method, &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{}))
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err != nil {
			return status.Code(err)
		}
		_ = stream.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
		return status.Code(stream.RecvMsg(&discoveryv3.DeltaDiscoveryResponse{}))
	}
	creds := func(f mtls.Files) credentials.TransportCredentials {
		conf, err := mtls.Client(f, contract.NameGateway)
		if err != nil {
			t.Fatal(err)
		}
		return credentials.NewTLS(conf)
	}
	const ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	wait.Until(s.t, "the listed certificate is served", func() bool { return call(creds(s.gate), ads) == codes.OK }) // negative control
	for _, method := range discoveryMethods() {
		if method != ads {
			if code := call(creds(s.gate), method); code != codes.Unimplemented {
				t.Errorf("%s with a listed certificate: %s, want Unimplemented", method, code)
			}
		}
		for name, c := range map[string]credentials.TransportCredentials{"plain text": insecure.NewCredentials(), "another listed name": creds(s.spawn)} {
			if code := call(c, method); code != codes.Unavailable {
				t.Errorf("%s with %s: %s, want the connection refused", method, name, code)
			}
		}
	}
}

func discoveryMethods() (out []string) {
	for service, what := range map[string]string{
		"discovery.v3.AggregatedDiscoveryService": "AggregatedResources", "listener.v3.ListenerDiscoveryService": "Listeners",
		"route.v3.RouteDiscoveryService": "Routes", "route.v3.ScopedRoutesDiscoveryService": "ScopedRoutes",
		"cluster.v3.ClusterDiscoveryService": "Clusters", "endpoint.v3.EndpointDiscoveryService": "Endpoints",
		"secret.v3.SecretDiscoveryService": "Secrets", "runtime.v3.RuntimeDiscoveryService": "Runtime",
	} {
		for _, kind := range []string{"Stream", "Delta", "Fetch"} {
			out = append(out, "/envoy.service."+service+"/"+kind+what)
		}
	}
	return out
}

// X3: a method without its leading slash is nobody's (CVE-2026-33186), even with the
// right certificate.
func TestX3_MethodWithoutItsSlash(t *testing.T) {
	s := newEnv(t)
	s.startRemoteXDS()
	wait.Until(s.t, "the port answers", func() bool { return s.grpcStatus("/no.such.Service/Method") == "12" }) // negative control of the client
	for _, path := range []string{
		"envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
		"//envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
		"/envoy.service.discovery.v3.AggregatedDiscoveryService", "x", "/",
	} {
		if got := s.grpcStatus(path); got != "12" && got != "refused" {
			t.Errorf(":path %q: grpc-status %s, want 12 (Unimplemented)", path, got)
		}
	}
}

// grpcStatus opens one stream by hand on the remote xDS port with the gateway's
// certificate.
func (s *env) grpcStatus(path string) string {
	s.t.Helper()
	conf, err := mtls.Client(s.gate, contract.NameGateway)
	if err != nil {
		s.t.Fatal(err)
	}
	conf.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", remoteXDS, conf)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err.Error()
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", http.MethodPost}, {":scheme", "https"}, {":path", path}, {":authority", "xds"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err.Error()
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "refused"
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					return field.Value
				}
			}
		}
	}
}

// X4: the private port of Envoy shows two pages and nothing else of the admin port,
// and the admin port is on loopback.
func TestX4_AdminIsNotReachedThroughTheOpenPorts(t *testing.T) {
	s := newEnv(t)
	for _, path := range []string{
		"/quitquitquit", "/stats/prometheus/../../quitquitquit", "/stats/prometheus/..%2f..%2fquitquitquit", "//quitquitquit", "/ready/../config_dump",
		"/config_dump", "/stats", "/certs", "/drain_listeners", "/healthcheck/fail", "/stats/prometheus/",
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, addr := range []string{s.envoy.Private, publicAddr} {
				if r := s.rawAt(addr, method, path); r.code == 200 {
					t.Errorf("%s %s on %s: 200 %.80s", method, path, addr, r.body)
				}
			}
		}
	}
	if r := s.rawAt(s.envoy.Private, "POST", "/ready"); r.code == 200 {
		t.Error("POST /ready is passed on")
	}
	if r := s.rawAt(s.envoy.Private, "GET", "/stats/prometheus"); r.code != 200 || !s.envoy.IsReady() { // negative control
		t.Errorf("metrics: %d", r.code)
	}
	if host, _, _ := net.SplitHostPort(s.envoy.Admin); host != "127.0.0.1" {
		t.Errorf("the test's admin port is at %s", host)
	}
}
