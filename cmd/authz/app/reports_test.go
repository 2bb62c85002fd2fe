package app

import (
	"context"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// The port that answers checks takes Envoy's reports about websockets, whose streams never end,
// and stops all the same.
func TestReportsDoNotDelayTheStop(t *testing.T) {
	t.Parallel()
	sessionKey, passKey := keys.Files(t)
	cfg := newConfig(t, sessionKey, passKey, unasked())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	log := telemetry.NewLogger(&logs.Buffer{}, 0)
	go func() { ended <- RunWith(ctx, cfg, fake.NewClientset(), log) }()
	r := (&replica{log: &logs.Buffer{}, base: "http://" + cfg.PrivateListen}).ready(t)
	conn, err := grpc.NewClient(cfg.Listen.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{{}}},
	}}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the report is counted", func() bool {
		return strings.Contains(r.private("/metrics"), `perijove_authz_websocket_reports_total{result="malformed"} 1`)
	})
	asked := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(asked); took >= run.Grace {
		t.Errorf("the stop took %s: it waited for Envoy to leave", took)
	}
}
