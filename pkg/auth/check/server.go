package check

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
)

// Server is the gRPC service envoy.service.auth.v3.Authorization.
type Server struct {
	authv3.UnimplementedAuthorizationServer
	decider *Decider
	pages   *web.Renderer
	now     func() time.Time
	log     *slog.Logger
	checks  *prometheus.CounterVec
	took    prometheus.Histogram
}

var _ authv3.AuthorizationServer = (*Server)(nil)

// NewServer returns a Server; now is the clock.
func NewServer(d *Decider, pages *web.Renderer, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) *Server {
	s := &Server{
		decider: d, pages: pages, now: now, log: log,
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_authz_checks_total",
			Help: "Decisions about requests, by kind of route, reason and HTTP status.",
		}, []string{"kind", "reason", "code"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "perijove_authz_check_duration_seconds",
			Help:    "Time to decide about one request.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .005, .01, .1},
		}),
	}
	reg.MustRegister(s.checks, s.took)
	return s
}

// Check decides about one request. An error makes Envoy answer 503: it fails closed.
func (s *Server) Check(ctx context.Context, check *authv3.CheckRequest) (resp *authv3.CheckResponse, err error) {
	start := time.Now()
	defer func() {
		s.took.Observe(time.Since(start).Seconds())
		// gRPC would let one poisonous request end the process, and every user with it.
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "check panicked", "panic", p, "stack", string(debug.Stack()))
			resp, err = nil, status.Error(codes.Internal, "internal error")
		}
	}()
	req, err := translate(check)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	v := s.decider.Decide(req, s.now())
	s.checks.WithLabelValues(kindLabel(req.Kind), string(v.Reason), strconv.Itoa(v.Status)).Inc()
	s.audit(ctx, req, v)
	return answer(req, v, s.pages), nil
}

// audit writes a line for each refusal of somebody we know, or of a request that no
// browser of ours sends. Anonymous requests are the gateway's access log's business:
// a scanner would fill ours.
func (s *Server) audit(ctx context.Context, req Request, v Verdict) {
	if v.Allow || v.Status < http.StatusBadRequest || v.Reason == ReasonNoSession || v.Reason == ReasonBadToken {
		return
	}
	s.log.InfoContext(telemetry.WithRequestID(ctx, telemetry.UserText(req.RequestID)), "access refused", "audit", true,
		"reason", string(v.Reason), "user", telemetry.UserText(v.User.Name), "kind", kindLabel(req.Kind),
		"owner", telemetry.UserText(req.Owner), "server", telemetry.UserText(req.Server), "http_method", telemetry.UserText(req.Method), "client", req.Client)
}

// kindLabel keeps a misconfigured route from making metric labels.
func kindLabel(kind string) string {
	switch kind {
	case "server", "hub", "logout":
		return kind
	}
	return "unknown"
}
