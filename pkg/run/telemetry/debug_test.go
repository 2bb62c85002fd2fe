package telemetry_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
)

// TestLogLevelChangesWhileItRuns, for loggers that were made from the service's before, too.
func TestLogLevelChangesWhileItRuns(t *testing.T) {
	var out logs.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo).With("service", "test")
	private := telemetry.PrivateHandler(telemetry.NewHealth(), telemetry.NewRegistry(), log)
	ask := func(method, body, from string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/loglevel", strings.NewReader(body))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		private.ServeHTTP(w, r)
		return w
	}
	part := log.With("part", "x")
	part.Debug("before")
	for _, c := range []struct {
		method, body, from string
		want               int
	}{
		{"GET", "", "[::1]:1", http.StatusOK},
		{"PUT", "loud", "127.0.0.1:1", http.StatusBadRequest}, {"PUT", strings.Repeat("x", 1<<20), "127.0.0.1:1", http.StatusBadRequest},
		{"PUT", "debug", "10.0.0.7:1", http.StatusForbidden}, {"PUT", "debug", "nowhere", http.StatusForbidden}, {"GET", "", "10.0.0.7:1", http.StatusForbidden},
	} {
		if w := ask(c.method, c.body, c.from); w.Code != c.want {
			t.Errorf("%s %.9q from %s: %d", c.method, c.body, c.from, w.Code)
		}
	}
	part.Debug("still before")
	if w := ask("PUT", "debug\n", "127.0.0.1:1"); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	part.Debug("after")
	if w := ask("GET", "", "127.0.0.1:1"); w.Body.String() != "DEBUG\n" {
		t.Errorf("the level is %q", w.Body)
	}
	text := out.String()
	if strings.Contains(text, "before") || !strings.Contains(text, `"msg":"after"`) || !strings.Contains(text, `"msg":"log level changed"`) {
		t.Errorf("%s", text)
	}
}

// TestProfilesAreForThePodItself.
func TestProfilesAreForThePodItself(t *testing.T) {
	private := telemetry.PrivateHandler(telemetry.NewHealth(), telemetry.NewRegistry(), slog.New(slog.DiscardHandler))
	for from, want := range map[string]int{"127.0.0.1:1": http.StatusOK, "192.0.2.1:1": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		private.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "goroutine profile") != (want == http.StatusOK) {
			t.Errorf("from %s: %d", from, w.Code)
		}
	}
}

// TestAnAbortedAnswerIsNoWholeOne: a handler that gives up ends the connection, and its client
// sees that.
func TestAnAbortedAnswerIsNoWholeOne(t *testing.T) {
	var out logs.Buffer
	srv := httptest.NewServer(telemetry.HTTP(telemetry.NewLogger(&out, slog.LevelInfo), telemetry.NewRegistry(), "test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if body, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "half" {
		t.Errorf("%q %v", body, err)
	}
	if text := out.String(); !strings.Contains(text, `"msg":"request"`) || strings.Contains(text, "panicked") {
		t.Errorf("%s", text)
	}
}
