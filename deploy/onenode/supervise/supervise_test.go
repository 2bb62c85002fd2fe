package supervise

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/parts"
)

// gate is a Checker that says yes to a probe (by its URL) once that is opened.
type gate struct {
	mu   sync.Mutex
	open map[string]bool
}

func (g *gate) set(url string, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[url] = open
}

func (g *gate) check(_ context.Context, probe parts.Probe) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[probe.URL] {
		return nil
	}
	return errors.New("closed")
}

func script(name, text string, after ...string) parts.Part {
	return parts.Part{Name: name, Path: "/bin/sh", Args: []string{"-c", text}, After: after, Probe: parts.Probe{URL: name}}
}

// start runs a supervisor until the test ends; the returned function ends it earlier and waits.
func start(t *testing.T, g *gate, folder string, list ...parts.Part) (*Supervisor, func()) {
	t.Helper()
	s := New(Config{
		Parts: list, Spec: "spec", LogFile: func(part string) string { return filepath.Join(folder, part+".log") },
		Env: os.Environ(), Check: g.check, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return s, stop
}

func (s *Supervisor) part(name string) PartStatus {
	for _, part := range s.Status().Parts {
		if part.Name == name {
			return part
		}
	}
	return PartStatus{}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestStartsAfterReady(t *testing.T) {
	g := &gate{open: map[string]bool{}}
	s, _ := start(t, g, t.TempDir(), script("first", "sleep 60"), script("second", "sleep 60", "first"))
	eventually(t, "first starts", func() bool { return s.part("first").State == Starting && s.part("first").Problem == "closed" })
	if state := s.part("second").State; state != Waiting {
		t.Errorf("second is %s though first is not ready", state)
	}
	g.set("first", true)
	eventually(t, "second starts", func() bool { return s.part("second").State == Starting })
	if s.Status().Ready() {
		t.Error("the node counts as ready though second is not")
	}
	g.set("second", true)
	eventually(t, "all are ready", func() bool { return s.Status().Ready() })
}

func TestRestartsAfterKill(t *testing.T) {
	g := &gate{open: map[string]bool{"part": true}}
	s, _ := start(t, g, t.TempDir(), script("part", "sleep 60"))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	old := s.part("part").PID
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again with another process", func() bool {
		part := s.part("part")
		return part.State == Ready && part.PID != old && part.Restarts == 1
	})
}

func TestReadyEndsWhenTheProbeFails(t *testing.T) {
	g := &gate{open: map[string]bool{"part": true}}
	s, _ := start(t, g, t.TempDir(), script("part", "sleep 60"))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	g.set("part", false)
	eventually(t, "the part counts as failed", func() bool { return s.part("part").State == Failed })
}

func TestProgramMissing(t *testing.T) {
	g := &gate{open: map[string]bool{}}
	s, _ := start(t, g, t.TempDir(), parts.Part{Name: "gone", Path: "/no/such/program"})
	eventually(t, "it is tried again", func() bool { return s.part("gone").Restarts >= 2 })
}

func TestStopsInReverseOrder(t *testing.T) {
	g := &gate{open: map[string]bool{"first": true, "second": true}}
	folder := t.TempDir()
	record := filepath.Join(folder, "order")
	text := func(name string) string {
		return "trap 'echo " + name + " >> " + record + "; exit 0' TERM; echo started; while :; do sleep 0.01; done"
	}
	s, stop := start(t, g, folder, script("first", text("first")), script("second", text("second"), "first"))
	eventually(t, "both have set their traps", func() bool {
		return s.Status().Ready() && logged(folder, "first", "started") && logged(folder, "second", "started")
	})
	stop()
	content, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != "second\nfirst\n" {
		t.Errorf("they stopped in the order %q", content)
	}
}

func TestKillsWhatIgnoresTERM(t *testing.T) {
	g := &gate{open: map[string]bool{"deaf": true}}
	folder := t.TempDir()
	s, stop := start(t, g, folder, script("deaf", "trap '' TERM; echo started; while :; do sleep 0.01; done"))
	eventually(t, "it is deaf", func() bool { return logged(folder, "deaf", "started") })
	pid := s.part("deaf").PID
	stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

func logged(folder, part, text string) bool {
	content, err := os.ReadFile(filepath.Join(folder, part+".log"))
	return err == nil && strings.Contains(string(content), text)
}

func TestLongLogIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "part.log")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if info, err := log.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the new log: %v %v", info, err)
	}
	if info, err := os.Stat(path + ".1"); err != nil || info.Size() != maxLog+1 {
		t.Errorf("the old log: %v %v", info, err)
	}
}

func TestAsk(t *testing.T) {
	g := &gate{open: map[string]bool{"part": true}}
	s, _ := start(t, g, t.TempDir(), script("part", "sleep 60"))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	socket := filepath.Join(t.TempDir(), "control.sock")
	if _, err := Ask(t.Context(), socket); err == nil {
		t.Error("somebody answers before anybody listens")
	}
	if err := os.WriteFile(socket, nil, 0o644); err != nil { // what a killed supervisor leaves
		t.Fatal(err)
	}
	listener, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close below
	defer server.Close()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("anybody may ask: %v %v", info, err)
	}
	status, err := Ask(t.Context(), socket)
	if err != nil || !status.Ready() || status.Spec != "spec" || status.PID != os.Getpid() {
		t.Errorf("got %+v %v", status, err)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 9 {
		got = append(got, b.next(time.Second))
	}
	if got[0] != 100*time.Millisecond || got[1] != 200*time.Millisecond || got[8] != 10*time.Second {
		t.Errorf("pauses are %v", got)
	}
	if pause := b.next(time.Minute); pause != 100*time.Millisecond {
		t.Errorf("after a good minute it waits %v", pause)
	}
}
