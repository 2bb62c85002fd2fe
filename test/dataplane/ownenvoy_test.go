package dataplane

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

const remoteXDS = "127.0.0.1:18000"

// startRemoteXDS runs a second xds-server on a TCP port, as for somebody's own Envoy.
func (s *env) startRemoteXDS() {
	cfg := s.xdsConfig()
	cfg.Listen = xdsapp.Listen{XDS: remoteXDS, Private: "127.0.0.1:9111"}
	cfg.Clients = xdsapp.Clients{XDS: []string{contract.NameGateway}}
	cfg.Envoy.Port = 8001
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	s.run("remote xds-server", func(ctx context.Context, log *slog.Logger) error {
		return xdsapp.RunWith(ctx, cfg, s.client, log)
	})
}

// remoteCluster is the cluster that envoy/README.md tells people to use.
func remoteCluster(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(repo.Root(t), "envoy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n( *- name: xds\n.*?)```").FindStringSubmatch(string(readme))
	if block == nil {
		t.Fatal("envoy/README.md has no cluster for a remote xds-server")
	}
	text := strings.ReplaceAll(block[1], "\n   ", "\n  ") // from the list's indentation to the bootstrap's
	return strings.Replace("  "+strings.Trim(text, " "), "perijove-gateway.perijove.svc", "127.0.0.1", 1)
}

// An Envoy of one's own, set up as envoy/README.md says, serves what the sidecar serves.
func TestOwnEnvoyOverMutualTLS(t *testing.T) {
	s := newEnv(t)
	s.startRemoteXDS()
	own := envoyproc.Start(t, envoyproc.Options{Node: "own", XDSSock: "/nowhere", TLS: s.gate, Edit: func(text string) string {
		sidecar := regexp.MustCompile(`(?s)  - name: xds\n.*?(  - name: admin\n)`)
		if !sidecar.MatchString(text) {
			t.Fatal("envoy/bootstrap.yaml has no cluster xds before the cluster admin")
		}
		return sidecar.ReplaceAllLiteralString(text, remoteCluster(t)+"  - name: admin\n")
	}})
	own.Ready(t)
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	wait.Until(s.t, "the remote Envoy routes", func() bool { return s.rawAt("127.0.0.1:8001", "GET", "/user/alice/api").code == 401 })
}

// X1, X2: the TCP port answers delta ADS to the listed certificate and nothing else to
// anybody.
func TestX1_XDSPortRefusesEveryoneElse(t *testing.T) {
	s := newEnv(t)
	s.startRemoteXDS()
	ask := func(creds credentials.TransportCredentials, sotw bool) error {
		conn, err := grpc.NewClient(remoteXDS, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if sotw {
			return askSotW(ctx, conn)
		}
		return askDelta(ctx, conn)
	}
	tlsFor := func(f mtls.Files) credentials.TransportCredentials {
		conf, err := mtls.Client(f, contract.NameGateway)
		if err != nil {
			t.Fatal(err)
		}
		return credentials.NewTLS(conf)
	}
	wait.Until(s.t, "the listed certificate is served", func() bool { return ask(tlsFor(s.gate), false) == nil }) // negative control
	if err := ask(tlsFor(s.gate), true); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "DELTA_GRPC") {
		t.Errorf("state-of-the-world: %v, want Unimplemented that says what to do", err)
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"plain text":          insecure.NewCredentials(),
		"no certificate":      credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}),
		"another listed name": tlsFor(s.spawn),
		"expired":             tlsFor(s.ca.Issue(contract.NameGateway, -time.Hour)),
	} {
		for _, sotw := range []bool{false, true} {
			if err := ask(creds, sotw); status.Code(err) != codes.Unavailable {
				t.Errorf("%s (SotW %v): %v, want the connection refused", name, sotw, err)
			}
		}
	}
}

func askDelta(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType}); err != nil {
		_, err = stream.Recv()
		return err
	}
	_, err = stream.Recv()
	return err
}

func askSotW(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}
