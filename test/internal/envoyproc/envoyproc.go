// Package envoyproc runs the real Envoy with the repository's own bootstrap for a
// test, on free loopback ports.
package envoyproc

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/mtls"
	bootfile "github.com/perijove/perijove/test/bootstrap"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// Envoy is a running process.
type Envoy struct {
	Admin   string // host:port
	Private string // host:port of the bootstrap's private listener
	Log     string // path
	cmd     *exec.Cmd
	done    chan struct{}
}

// Options say what the bootstrap's fixed paths are in this test.
type Options struct {
	Node    string
	XDSSock string
	TLS     mtls.Files
	// Edit, if set, changes the bootstrap's text last.
	Edit func(bootstrap string) string
}

// Start runs Envoy until the test ends. It does not wait for readiness: an Envoy
// without an xds-server is a case too.
func Start(tb testing.TB, o Options) *Envoy {
	tb.Helper()
	dir := tb.TempDir()
	e := &Envoy{
		Admin:   ports.FreeAddr(tb),
		Private: ports.FreeAddr(tb),
		Log:     filepath.Join(repo.Output(tb, "dataplane"), strings.ReplaceAll(tb.Name(), "/", "_")+"-"+o.Node+".log"),
		done:    make(chan struct{}),
	}
	logFile, err := os.Create(e.Log)
	if err != nil {
		tb.Fatal(err)
	}
	e.cmd = exec.Command(repo.Envoy(tb), "-c", bootstrap(tb, dir, o, e), "--service-cluster", "perijove",
		"--service-node", o.Node, "--disable-hot-restart", "--concurrency", "1", "--log-level", "info", "--drain-time-s", "5")
	e.cmd.Stdout, e.cmd.Stderr = logFile, logFile
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() { _ = e.cmd.Wait(); close(e.done); _ = logFile.Close() }()
	tb.Cleanup(e.Stop)
	return e
}

// Stop ends Envoy the polite way, as the kubelet does and so that its access log is
// whole.
func (e *Envoy) Stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.done:
	case <-time.After(5 * time.Second):
		e.Kill()
	}
}

// bootstrap writes envoy/bootstrap.yaml with this test's paths and ports.
func bootstrap(tb testing.TB, dir string, o Options, e *Envoy) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(repo.Root(tb), "envoy", "bootstrap.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	_, adminPort, _ := net.SplitHostPort(e.Admin)
	_, privatePort, _ := net.SplitHostPort(e.Private)
	tlsDir := filepath.Join(dir, "tls")
	if err := os.Mkdir(tlsDir, 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, source := range map[string]string{"tls.crt": o.TLS.Cert, "tls.key": o.TLS.Key, "ca.crt": o.TLS.CA} {
		content, err := os.ReadFile(source)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tlsDir, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	text, err := bootfile.Fit(string(data), bootfile.Places{TLSDir: tlsDir, XDSSock: o.XDSSock, AdminPort: adminPort, PrivatePort: privatePort})
	if err != nil {
		tb.Fatal(err)
	}
	if o.Edit != nil {
		text = o.Edit(text)
	}
	path := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Ready waits until Envoy has its listener and routes.
func (e *Envoy) Ready(tb testing.TB) {
	tb.Helper()
	if !wait.Poll(30*time.Second, func() bool { return e.ended() || e.IsReady() }) || e.ended() {
		tb.Fatalf("Envoy is not ready, ended: %v; its log: %s\n%s", e.ended(), e.Log, tail(e.Log))
	}
}

func (e *Envoy) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// IsReady asks once.
func (e *Envoy) IsReady() bool {
	resp, err := http.Get("http://" + e.Private + "/ready")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Alive asks whether the process runs and answers on its admin port.
func (e *Envoy) Alive() bool {
	resp, err := http.Get("http://" + e.Admin + "/server_info")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// AdminGet returns the body of an admin page.
func (e *Envoy) AdminGet(tb testing.TB, path string) string {
	tb.Helper()
	resp, err := http.Get("http://" + e.Admin + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

// Kill ends Envoy at once.
func (e *Envoy) Kill() {
	_ = e.cmd.Process.Kill()
	<-e.done
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprint(err)
	}
	if len(data) > 4000 {
		data = data[len(data)-4000:]
	}
	return string(data)
}
