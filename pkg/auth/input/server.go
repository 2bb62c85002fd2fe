package input

import (
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Liveness answers from memory (*liveness.Keeper).
type Liveness interface {
	// User is the user of a session; ok is false when the session has ended before its time.
	User(s session.Session) (user access.User, ok bool)
	// Seen notes a use of a session; active means that the user did something.
	Seen(s session.Session, active bool)
	// Refuse reports whether all users are refused, since revocations may be unknown.
	Refuse() bool
}

// Settings is what a Server goes by. Fields must all be set.
type Settings struct {
	Now func() time.Time
	Log *slog.Logger
	// Used is told of the server that gets the input.
	Used func(server.ID)
	// Stop ends all streams: Envoy's never end by themselves.
	Stop <-chan struct{}
}

// Server is the gRPC service envoy.service.accesslog.v3.AccessLogService. The port that it is
// registered on decides who may report: anyone who could would keep any session alive.
type Server struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	live Liveness
	Settings

	mu      sync.Mutex
	meter   *Meter
	reports *prometheus.CounterVec
}

// New returns a Server that notes input at live.
func New(live Liveness, reg prometheus.Registerer, s Settings) *Server {
	server := &Server{
		live: live, Settings: s, meter: NewMeter(),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_authz_websocket_reports_total",
			Help: "Envoy's reports about open websockets, by what they said: input of the user, quiet, ended (the session), full (not followed), malformed.",
		}, []string{"result"}),
	}
	reg.MustRegister(server.reports, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "perijove_authz_websockets", Help: "Open websockets of users with a session, as Envoy reported them.",
	}, server.open))
	return server
}

func (s *Server) open() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.meter.Len())
}

// StreamAccessLogs takes one Envoy worker's reports until Envoy leaves or the service stops.
func (s *Server) StreamAccessLogs(from accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	ended := make(chan error, 1)
	go func() { ended <- s.takeAll(from) }()
	select {
	case err := <-ended:
		return err
	case <-s.Stop:
		return status.Error(codes.Unavailable, "the service stops")
	}
}

func (s *Server) takeAll(from accesslogv3.AccessLogService_StreamAccessLogsServer) (err error) {
	defer func() {
		// One poisonous report must not end the process, and every user with it.
		if p := recover(); p != nil {
			s.Log.ErrorContext(from.Context(), "a report of Envoy panicked", "panic", p, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal error")
		}
	}()
	for {
		message, err := from.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return from.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
		case err != nil:
			return err
		}
		for _, entry := range message.GetHttpLogs().GetLogEntry() {
			s.reports.WithLabelValues(s.take(entry)).Inc()
		}
	}
}

func (s *Server) measure(session, id string, bytes uint64, now time.Time) (input, followed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meter.Report(session, id, bytes, now)
}

// take notes one report and returns what it said.
func (s *Server) take(entry *accesslogdatav3.HTTPAccessLogEntry) string {
	common := entry.GetCommonProperties()
	told := common.GetMetadata().GetFilterMetadata()[contract.MetadataAuthz].GetFields()[contract.MetadataSession]
	owner, to, ok := open(told.GetStringValue())
	if !ok || common.GetStreamId() == "" {
		return "malformed"
	}
	now := s.Now()
	if _, alive := s.live.User(owner); !alive || !now.Before(owner.Expires) || s.live.Refuse() {
		return "ended"
	}
	input, followed := s.measure(owner.ID, common.GetStreamId(), entry.GetRequest().GetRequestBodyBytes(), now)
	switch {
	case !followed:
		return "full"
	case !input:
		return "quiet"
	}
	s.live.Seen(owner, true)
	s.Used(to)
	return "input"
}
