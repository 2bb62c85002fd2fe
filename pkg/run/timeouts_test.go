package run

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// TestD3_ABodyThatDoesNotArrive is given up, while an answer may take as long as it likes.
func TestD3_ABodyThatDoesNotArrive(t *testing.T) {
	const limit = 50 * time.Millisecond
	slow := make(chan struct{})
	srv := httptest.NewServer(timed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "late", http.StatusBadRequest)
			return
		}
		select {
		case <-slow:
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(w, "whole")
	}), limit))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // over
	_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nha")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("half a body: %v %v", res, err)
	}
	go func() {
		time.Sleep(3 * limit)
		close(slow)
	}()
	got, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close() //nolint:errcheck // read to its end
	if body, _ := io.ReadAll(got.Body); string(body) != "whole" {
		t.Errorf("a slow answer: %q", body)
	}
}

// TestTLSFaultsAreTold, and connections that say nothing are not.
func TestTLSFaultsAreTold(t *testing.T) {
	var out logs.Buffer
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = slog.NewLogLogger(quietProbes{telemetry.NewLogger(&out, slog.LevelInfo).Handler()}, slog.LevelWarn)
	srv.StartTLS()
	defer srv.Close()
	probe, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = probe.Close()
	if _, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{ServerName: "x"}); err == nil {
		t.Fatal("the certificate is trusted")
	}
	wait.Until(t, "the fault is told", func() bool { return strings.Contains(out.String(), "bad certificate") })
	if strings.Contains(out.String(), "EOF") {
		t.Errorf("a probe is told: %s", out.String())
	}
}
