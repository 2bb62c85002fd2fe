package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
)

func get(h http.Handler, path, requestID string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("GET", path, nil)
	req.Header.Set(contract.HeaderRequestID, requestID)
	req.Header.Set("Cookie", "perijove-session=planted-secret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestOneAccessEventPerRequestWithItsID(t *testing.T) {
	var out bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hub/{page}", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	reg := telemetry.NewRegistry()
	h := telemetry.HTTP(telemetry.NewLogger(&out, slog.LevelInfo), reg, "test", mux)
	w := get(h, "/hub/home?code=planted-secret", "id-1")

	var event map[string]any
	if err := json.Unmarshal(out.Bytes(), &event); err != nil {
		t.Fatalf("not one JSON line: %v\n%s", err, out.String())
	}
	if event["request_id"] != "id-1" || event["code"] != float64(418) || event["path"] != "/hub/home" {
		t.Errorf("event = %v", event)
	}
	if w.Header().Get(contract.HeaderRequestID) != "id-1" {
		t.Error("the reply does not carry the request id")
	}
	if strings.Contains(out.String(), "planted-secret") {
		t.Error("a secret reached the log")
	}
	metrics := get(telemetry.PrivateHandler(telemetry.NewHealth(), reg, slog.New(slog.DiscardHandler)), "/metrics", "").Body.String()
	if !strings.Contains(metrics, `handler="GET /hub/{page}"`) || strings.Contains(metrics, "home") {
		t.Error("the metric is not by pattern")
	}
}

// TestWhatSucceedsIsLoggedOnce: Envoy has its line. What did not come through Envoy has none there.
func TestWhatSucceedsIsLoggedOnce(t *testing.T) {
	for _, c := range []struct {
		level slog.Level
		id    string
		code  int
		want  int
	}{
		{slog.LevelInfo, "id-1", 200, 0}, {slog.LevelInfo, "id-1", 302, 0}, {slog.LevelDebug, "id-1", 200, 1},
		{slog.LevelInfo, "", 200, 1}, {slog.LevelInfo, "id-1", 403, 1}, {slog.LevelInfo, "id-1", 503, 1},
	} {
		var out bytes.Buffer
		h := telemetry.HTTP(telemetry.NewLogger(&out, c.level), telemetry.NewRegistry(), "test",
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.code) }))
		get(h, "/hub/home", c.id)
		if n := strings.Count(out.String(), `"msg":"request"`); n != c.want {
			t.Errorf("%+v: %d lines", c, n)
		}
	}
}

func TestPanicIs500AndOneErrorLine(t *testing.T) {
	var out bytes.Buffer
	h := telemetry.HTTP(telemetry.NewLogger(&out, slog.LevelError), telemetry.NewRegistry(), "test",
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	if w := get(h, "/", "id-2"); w.Code != 500 || !strings.Contains(w.Body.String(), "id-2") {
		t.Errorf("%d %q", w.Code, w.Body.String())
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d error lines, want 1", n)
	}
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	h := telemetry.NewHealth("pods", "xds")
	private := telemetry.PrivateHandler(h, telemetry.NewRegistry(), slog.New(slog.DiscardHandler))
	if w := get(private, "/readyz", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "pods") {
		t.Errorf("before anything: %d %q", w.Code, w.Body.String())
	}
	h.Set("pods", nil)
	h.Set("xds", errors.New("port taken"))
	if w := get(private, "/readyz", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "port taken") {
		t.Errorf("with one failing: %d %q", w.Code, w.Body.String())
	}
	h.Set("xds", nil)
	if w := get(private, "/readyz", ""); w.Code != 200 {
		t.Errorf("with all passing: %d", w.Code)
	}
	if telemetry.NewHealth().Ready() == nil {
		t.Error("a service that reports nothing is ready")
	}
}

// D5: text that a client chose cannot fill the log.
func TestD5_UserTextIsCapped(t *testing.T) {
	if n := len(telemetry.UserText(strings.Repeat("x", 1<<20))); n != 256 {
		t.Errorf("%d bytes", n)
	}
}
