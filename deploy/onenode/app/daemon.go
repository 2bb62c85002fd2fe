package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/supervise"
)

// superviseCommand is how `up` calls this program to run the node in the background. It is not for people.
const superviseCommand = "supervise"

func (c command) settings() (parts.Settings, error) {
	program, err := os.Executable()
	if err != nil {
		return parts.Settings{}, fmt.Errorf("find this program: %w", err)
	}
	resolv, usable := host.Resolver()
	return parts.Settings{Layout: c.layout, Nodes: c.nodes, Program: program, Key: c.key, ResolvConf: resolv, Forward: usable}, nil
}

// spec is the identity of what should run. A supervisor with another spec runs another version or configuration and has to be replaced.
func spec(settings parts.Settings) (string, error) {
	files, err := parts.Files(settings)
	if err != nil {
		return "", err
	}
	content, err := json.Marshal([]any{parts.All(settings), files, parts.Leaves()})
	if err != nil {
		return "", fmt.Errorf("identity of the node: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:16], nil
}

// supervise is the background process. `up` has prepared everything that it reads.
func (c command) supervise(ctx context.Context) error {
	lock, err := tryLock(c.layout.Path("supervisor.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	settings, err := c.settings()
	if err != nil {
		return err
	}
	identity, err := spec(settings)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.out, nil))
	supervisor := supervise.New(supervise.Config{
		Parts: parts.All(settings), Spec: identity, LogFile: c.layout.LogFile, Log: log,
		Env:   append(os.Environ(), "PATH="+settings.Bin()+":"+os.Getenv("PATH")), // containerd finds its shim there
		Check: supervise.NewChecker(c.layout.PKI()),
	})
	listener, err := supervise.Listen(c.layout.ControlSocket())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: supervisor.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket", "err", err)
		}
	}()
	log.Info("supervisor started", "pid", os.Getpid(), "spec", identity)
	supervisor.Run(ctx)
	log.Info("supervisor ended")
	return server.Close()
}

// startSupervisor leaves the supervisor behind as a daemon: own session, no terminal, output to its log.
func (c command) startSupervisor() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	log, err := os.OpenFile(c.layout.LogFile("onenode"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(program, "--state", c.layout.State, "--cache", c.layout.Cache, "--sources", c.sources, "--nodes", strconv.Itoa(c.nodes), superviseCommand)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.Env = append(os.Environ(), layout.Marker+"="+c.layout.State)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := closeInheritedOnExec(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	return cmd.Process.Release()
}

// closeInheritedOnExec keeps the files that this process has inherited from its caller out of the programs that it starts. The daemons would hold them for as long
// as the node is up: with `flock FILE make up` the lock would never end.
func closeInheritedOnExec() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, entry := range open {
		if number, err := strconv.Atoi(entry.Name()); err == nil && number > 2 {
			syscall.CloseOnExec(number)
		}
	}
	return nil
}

// stopSupervisor ends a supervisor in good order, with all parts; pods go on.
func stopSupervisor(ctx context.Context, pid int, socket string) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the supervisor: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if _, err := supervise.Ask(ctx, socket); err != nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the supervisor (pid %d) does not end: %w", pid, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock takes an exclusive lock that ends with the process, however that ends.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("%s is locked: another onenode is at work on this state folder; wait for it to end", path)
	}
	return file, nil
}
