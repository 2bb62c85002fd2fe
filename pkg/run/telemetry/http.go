package telemetry

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/contract"
)

// HTTP wraps the pages and API of a service. It puts the request id into the context and the
// reply, writes one log line per request (levelOf), measures the duration by route pattern (by path, each
// user name would be a metric of its own), and turns a panic into a 500.
//
// next should be an http.ServeMux: it tells the pattern.
func HTTP(log *slog.Logger, reg prometheus.Registerer, service string, next http.Handler) http.Handler {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:        "perijove_http_request_duration_seconds",
		Help:        "Duration of requests to this service's own pages and API.",
		ConstLabels: prometheus.Labels{"service": service},
		Buckets:     []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 60},
	}, []string{"method", "handler", "code"})
	reg.MustRegister(duration)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := UserText(r.Header.Get(contract.HeaderRequestID))
		r = r.WithContext(WithRequestID(r.Context(), id))
		rec := &recorder{ResponseWriter: w}
		if id != "" {
			w.Header().Set(contract.HeaderRequestID, id)
		}
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				log.ErrorContext(r.Context(), "handler panicked", "panic", p, "stack", string(debug.Stack()))
				if rec.code == 0 {
					http.Error(rec, "internal error, request id "+id, http.StatusInternalServerError)
				}
			}
			took := time.Since(start)
			duration.WithLabelValues(method(r.Method), r.Pattern, strconv.Itoa(rec.status())).Observe(took.Seconds())
			log.Log(r.Context(), levelOf(id, rec.status(), p != nil), "request", "method", method(r.Method), "path", UserText(r.URL.EscapedPath()),
				"code", rec.status(), "bytes", rec.bytes, "seconds", took.Seconds())
			if p == http.ErrAbortHandler {
				panic(p) // net/http ends the connection: half an answer must not look whole
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// levelOf is the level of a request's line. Envoy writes a line, with the same id, for each request
// that it leads to a service. A second one takes the node 25 µs to copy, beside the service's own
// time. The same holds for questions that one service asks another on behalf of such a request. So
// what succeeded is at the level debug.
func levelOf(id string, code int, broken bool) slog.Level {
	if id != "" && code < http.StatusBadRequest && !broken {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// method keeps a client from choosing metric labels.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

type recorder struct {
	http.ResponseWriter
	code  int
	bytes int64
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Flush lets server-sent events through the wrapper.
func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}
