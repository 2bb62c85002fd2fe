package input

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// keeper is a Liveness that tests write by hand.
type keeper struct {
	mu      sync.Mutex
	ended   map[string]bool // by session ID
	refuse  bool
	active  map[string]int // by session ID
	servers int            // how often demo was used
	panics  bool
}

func (k *keeper) User(s session.Session) (access.User, bool) {
	if k.panics {
		panic("poison")
	}
	return s.User, !k.ended[s.ID]
}

func (k *keeper) Refuse() bool { return k.refuse }

func (k *keeper) Seen(s session.Session, active bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if active && s.User.Name != "" {
		k.active[s.ID]++
	}
}

func (k *keeper) usedServer(id server.ID) {
	if id != demo {
		panic(id.String())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.servers++
}

func (k *keeper) touched(id string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.active[id]
}

// demo is where the websockets lead.
var demo = server.ID{User: "bob", Name: "my demo"}

func newServer(k *keeper, stop <-chan struct{}) *Server {
	k.active = map[string]int{}
	return New(k, prometheus.NewRegistry(), Settings{Now: noon, Log: slog.New(slog.DiscardHandler), Used: k.usedServer, Stop: stop})
}

func sessionOf(id string) session.Session {
	return session.Session{User: access.User{Name: "alice"}, ID: id, Method: "ldap", Since: noon().Add(-time.Hour), Expires: noon().Add(time.Hour)}
}

// entry is what Envoy reports of a websocket: bytes received so far.
func entry(told, id string, bytes uint64) *accesslogdatav3.HTTPAccessLogEntry {
	return &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{StreamId: id, Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			contract.MetadataAuthz: {Fields: map[string]*structpb.Value{contract.MetadataSession: structpb.NewStringValue(told)}},
		}}},
		Request: &accesslogdatav3.HTTPRequestProperties{RequestBodyBytes: bytes},
	}
}

// TestReports: input touches a session that is alive, and D9, V1, V3: no other.
func TestReports(t *testing.T) {
	ended := sessionOf("over")
	ended.Expires = noon()
	for name, c := range map[string]struct {
		keeper *keeper
		told   string
		id     string
		want   string
	}{
		"a living session":                         {&keeper{}, Tag(sessionOf("s"), demo), "1", "input"},
		"V1: one that was ended":                   {&keeper{ended: map[string]bool{"s": true}}, Tag(sessionOf("s"), demo), "1", "ended"},
		"D9: one whose time is up":                 {&keeper{}, Tag(ended, demo), "1", "ended"},
		"V7: revocations may be unknown":           {&keeper{refuse: true}, Tag(sessionOf("s"), demo), "1", "ended"},
		"a session without ID":                     {&keeper{}, Tag(sessionOf(""), demo), "1", "malformed"},
		"no session: a script's websocket":         {&keeper{}, "", "1", "malformed"},
		"not what authz told":                      {&keeper{}, "s", "1", "malformed"},
		"a websocket that cannot be told from any": {&keeper{}, Tag(sessionOf("s"), demo), "", "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(c.keeper, nil)
			s.take(entry(c.told, c.id, 0))
			if got := s.take(entry(c.told, c.id, 1000)); got != c.want {
				t.Errorf("the report says %q, want %q", got, c.want)
			}
			if (c.keeper.servers > 0) != (c.want == "input") {
				t.Errorf("the server was used %d times", c.keeper.servers)
			}
			if touched := c.keeper.touched("s") + c.keeper.touched("over"); (touched > 0) != (c.want == "input") {
				t.Errorf("touched %d times", touched)
			}
		})
	}
	if got := newServer(&keeper{}, nil).take(nil); got != "malformed" {
		t.Errorf("no entry says %q", got)
	}
}

// dial serves s and returns a stream of reports to it.
func dial(t *testing.T, s *Server) (accesslogv3.AccessLogService_StreamAccessLogsClient, *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	accesslogv3.RegisterAccessLogServiceServer(srv, s)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream, srv
}

func message(entries ...*accesslogdatav3.HTTPAccessLogEntry) *accesslogv3.StreamAccessLogsMessage {
	return &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
}

func TestStream(t *testing.T) {
	k := &keeper{}
	s := newServer(k, nil)
	stream, _ := dial(t, s)
	told := Tag(sessionOf("s"), demo)
	for _, m := range []*accesslogv3.StreamAccessLogsMessage{{}, message(entry(told, "1", 0), entry(told, "2", 0)), message(entry(told, "1", 500), entry(told, "2", 6))} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	if k.touched("s") != 1 {
		t.Errorf("touched %d times, want once", k.touched("s"))
	}
	if quiet := testutil.ToFloat64(s.reports.WithLabelValues("quiet")); quiet != 3 || s.open() != 2 {
		t.Errorf("%v quiet reports, %v websockets", quiet, s.open())
	}
}

// A stream of Envoy's lasts as long as Envoy; authz's stop must not wait for it.
func TestStopEndsStreams(t *testing.T) {
	stop := make(chan struct{})
	k := &keeper{}
	stream, srv := dial(t, newServer(k, stop))
	told := Tag(sessionOf("s"), demo)
	if err := stream.Send(message(entry(told, "1", 0), entry(told, "1", 500))); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the stream is open", func() bool { return k.touched("s") == 1 })
	close(stop)
	stopped := make(chan struct{})
	go func() { srv.GracefulStop(); close(stopped) }()
	wait.Closed(t, "the server has stopped", stopped)
	if err := stream.RecvMsg(&accesslogv3.StreamAccessLogsResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
}

// A report that makes the service panic ends its stream and nothing else.
func TestPoisonousReport(t *testing.T) {
	stream, _ := dial(t, newServer(&keeper{panics: true}, nil))
	if err := stream.Send(message(entry(Tag(sessionOf("s"), demo), "1", 0))); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&accesslogv3.StreamAccessLogsResponse{}); status.Code(err) != codes.Internal {
		t.Errorf("the stream ended with %v", errors.Unwrap(err))
	}
}

// FuzzTag: what opens names a session, and says the same when it is written again.
func FuzzTag(f *testing.F) {
	f.Add(Tag(sessionOf("s"), demo))
	f.Add(`{"sid":"s","sub":"alice","exp":1e99}`)
	f.Add(`{"sid":"","sub":""}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		s, to, ok := open(value)
		if !ok {
			return
		}
		if s.ID == "" || s.User.Name == "" {
			t.Fatalf("%q opens to %+v", value, s)
		}
		again, toAgain, ok := open(Tag(s, to))
		if !ok || toAgain != to || again.ID != s.ID || again.User.Name != s.User.Name || again.Method != s.Method || !again.Since.Equal(s.Since) || !again.Expires.Equal(s.Expires) {
			t.Fatalf("%+v becomes %+v", s, again)
		}
	})
}
