package telemetry

import (
	"context"
	"io"
	"log/slog"
)

type requestIDKey struct{}

// WithRequestID returns ctx carrying the request id that every log line of the
// request will show.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id put in by WithRequestID, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// NewLogger returns a logger that writes JSON lines to w and adds request_id from
// the context. Its level, and that of loggers made from it, can be changed (PrivateHandler).
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	v := &slog.LevelVar{}
	v.Set(level)
	return slog.New(requestHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: v}), v})
}

// level returns the level of a logger of NewLogger's; of any other a level that nothing reads.
func level(log *slog.Logger) *slog.LevelVar {
	if h, ok := log.Handler().(requestHandler); ok {
		return h.level
	}
	return &slog.LevelVar{}
}

type requestHandler struct {
	slog.Handler
	level *slog.LevelVar
}

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name), h.level}
}

// maxUserText bounds text from clients in a log line: unbounded user names of failed logins
// fill disks (CVE-2026-54338).
const maxUserText = 256

// UserText cuts text that a client chose to 256 bytes, for a log field. slog's JSON handler
// quotes it.
func UserText(s string) string {
	if len(s) <= maxUserText {
		return s
	}
	return s[:maxUserText]
}
