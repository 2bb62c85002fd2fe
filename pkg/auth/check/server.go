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

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Settings is what a Server goes by. Fields must all be set.
type Settings struct {
	// Site is our own scheme and hosts: what an Origin header of our own pages says, and
	// whether cookies are Secure.
	Site origin.Site
	// PassTTL is how long a user may go on after a revocation (pass.New); 0 for not at all.
	PassTTL time.Duration
	// Used is told of each server where a user does something.
	Used func(server.ID)
	Now  func() time.Time
	Log  *slog.Logger
}

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

// New returns a Server that opens sessions and passes with the keys of the two rings.
func New(live Liveness, sessions *session.Ring, passes *pass.Ring, pages *web.Renderer, reg prometheus.Registerer, s Settings) *Server {
	server := &Server{
		decider: &Decider{
			live: live, sessions: sessions, passes: passes, genuine: pass.NewCache(passes, passCache), rules: tokens.NewRules(), subjects: newSubjects(),
			site: s.Site, passTTL: s.PassTTL, onUse: s.Used,
		},
		pages: pages, now: s.Now, log: s.Log,
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
	reg.MustRegister(server.checks, server.took)
	return server
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
	route, err := routeOf(ctx)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	req, err := translate(check, route)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	v := s.decider.Decide(req, s.now())
	s.checks.WithLabelValues(kindLabel(req.Kind), string(v.Reason), strconv.Itoa(v.Status)).Inc()
	s.audit(ctx, req, v)
	return answer(req, v, s.pages), nil
}

// audit writes a line for each refusal of a known user, or of a request that no browser of
// ours sends. Anonymous requests are in Envoy's access log: a scanner would fill ours.
func (s *Server) audit(ctx context.Context, req Request, v Verdict) {
	if v.Allow || v.Status < http.StatusBadRequest || v.Reason == ReasonNoSession || v.Reason == ReasonBadToken || v.Reason == ReasonNoEndpoint {
		return
	}
	telemetry.Audit(telemetry.WithRequestID(ctx, telemetry.UserText(req.RequestID)), s.log, telemetry.AccessRefused, "access refused",
		"reason", string(v.Reason), "user", telemetry.UserText(v.User.Name), "kind", kindLabel(req.Kind),
		"owner", telemetry.UserText(req.Owner), "server", telemetry.UserText(req.Server), "http_method", telemetry.UserText(req.Method), "client", req.Client)
}

// kindLabel keeps a misconfigured route from making metric labels.
func kindLabel(kind string) string {
	switch kind {
	case contract.KindServer, contract.KindHub:
		return kind
	}
	return "unknown"
}
