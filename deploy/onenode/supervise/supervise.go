package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/perijove/perijove/deploy/onenode/parts"
)

const (
	probeStarting = 100 * time.Millisecond // between probes of a part that is coming up
	probeRunning  = 3 * time.Second        // of one that was ready
	stopWithin    = 3 * time.Second        // from SIGTERM to SIGKILL: kube-apiserver waits for the watches of pods, and they have no end
	maxLog        = 20 << 20               // bytes; a longer log is set aside when its part starts again
)

// Checker tells whether a part works; nil means it does.
type Checker func(ctx context.Context, probe parts.Probe) error

// Config is what a supervisor needs.
type Config struct {
	Parts   []parts.Part
	Spec    string                   // identity of the parts and their configuration, told in Status
	LogFile func(part string) string // where a part's output goes
	Env     []string                 // environment of every part
	Check   Checker
	Log     *slog.Logger
}

// Supervisor runs parts until its context ends.
type Supervisor struct {
	config Config
	mu     sync.Mutex
	status map[string]*PartStatus
	ready  map[string]chan struct{} // closed when the part is ready for the first time
}

// New returns a supervisor that has started nothing yet.
func New(config Config) *Supervisor {
	s := &Supervisor{config: config, status: map[string]*PartStatus{}, ready: map[string]chan struct{}{}}
	for _, part := range config.Parts {
		s.status[part.Name] = &PartStatus{Name: part.Name, State: Waiting}
		s.ready[part.Name] = make(chan struct{})
	}
	return s
}

// Run starts the parts and returns when ctx has ended and all of them have, the last started first: a kubelet that loses its API server, or an API
// server that loses etcd, would only fill its log.
func (s *Supervisor) Run(ctx context.Context) {
	stopped := map[string]chan struct{}{}
	for _, part := range s.config.Parts {
		stopped[part.Name] = make(chan struct{})
	}
	var before chan struct{} // closed when the part that starts after this one has stopped
	for i := len(s.config.Parts) - 1; i >= 0; i-- {
		part, wait := s.config.Parts[i], before
		partCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			<-ctx.Done()
			if wait != nil {
				<-wait
			}
			cancel()
		}()
		go func() {
			defer close(stopped[part.Name])
			s.keep(partCtx, part)
		}()
		before = stopped[part.Name]
	}
	<-ctx.Done()
	for _, done := range stopped {
		<-done
	}
}

// keep runs one part again and again until ctx ends.
func (s *Supervisor) keep(ctx context.Context, part parts.Part) {
	for _, name := range part.After {
		select {
		case <-s.ready[name]:
		case <-ctx.Done():
			return
		}
	}
	var pause backoff
	for ctx.Err() == nil {
		started := time.Now()
		err := s.runOnce(ctx, part)
		if ctx.Err() != nil {
			return
		}
		s.config.Log.Warn("part ended; starting it again", "part", part.Name, "err", err, "after", time.Since(started).Round(time.Millisecond))
		s.set(part.Name, func(status *PartStatus) { status.State, status.PID = Failed, 0; status.Restarts++ })
		select {
		case <-time.After(pause.next(time.Since(started))):
		case <-ctx.Done():
		}
	}
}

// runOnce starts the part and returns when its process has ended.
func (s *Supervisor) runOnce(ctx context.Context, part parts.Part) error {
	log, err := openLog(s.config.LogFile(part.Name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(part.Path, part.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.config.Env, log, log
	// Its own session: a Ctrl-C in a terminal with the supervisor in the foreground must reach the parts in order, not all at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.set(part.Name, func(status *PartStatus) {
		status.State, status.PID, status.Since = Starting, cmd.Process.Pid, time.Now()
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go s.watch(watching, part, cmd.Process.Pid)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended this moment; Wait below knows
	select {
	case err := <-ended:
		return err
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		return <-ended
	}
}

// watch probes the part while its process lives.
func (s *Supervisor) watch(ctx context.Context, part parts.Part, pid int) {
	for {
		err := s.config.Check(ctx, part.Probe)
		if ctx.Err() != nil {
			return
		}
		pause := probeRunning
		s.set(part.Name, func(status *PartStatus) {
			if status.PID != pid {
				return
			}
			switch {
			case err == nil:
				status.State, status.Problem = Ready, ""
			case status.State == Ready:
				status.State, status.Problem = Failed, err.Error()
			default:
				status.Problem = err.Error()
			}
			if status.State != Ready {
				pause = probeStarting
			}
		})
		if err == nil {
			s.announce(part.Name)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Supervisor) announce(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ready[name]:
	default:
		close(s.ready[name])
	}
}

func (s *Supervisor) set(name string, change func(*PartStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.status[name])
}

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("set the long log aside: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return log, nil
}
