package run

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// readBody bounds how long a request's body may take to arrive (D3).
const readBody = 30 * time.Second

// timedBodies ends requests whose body does not arrive in time. http.Server's ReadTimeout would
// end answers that take longer than that too: streams of progress do.
func timedBodies(next http.Handler) http.Handler { return timed(next, readBody) }

func timed(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // -1: it ends by itself, at some time
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit)) // a recorder has none
		}
		next.ServeHTTP(w, r)
	})
}

// quietProbes shows what net/http says of connections, faults of TLS above all, without the
// health checks that connect and say nothing.
type quietProbes struct{ slog.Handler }

func (q quietProbes) Handle(ctx context.Context, r slog.Record) error {
	r.Message = strings.TrimSpace(r.Message)
	if strings.HasPrefix(r.Message, "http: TLS handshake error") && strings.HasSuffix(r.Message, ": EOF") {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}
