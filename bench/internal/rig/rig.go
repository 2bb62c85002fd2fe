package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/perijove/perijove/test/netns"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// Rig holds the processes of one benchmark and their folder.
type Rig struct {
	Dir string // short: Unix socket paths must stay below 107 bytes
	// KubeMemory is where kube-apiserver begins to save memory (GOMEMLIMIT); "" is nowhere.
	KubeMemory string
	// Front is the address on which JupyterHub's proxy listens, instead of loopback.
	Front string

	procs []*Proc
	ports int
}

// New makes an empty rig. Call it inside netns.Main: ports are fixed.
func New() (*Rig, error) {
	// One address per pod, for more users than netns.PodNetwork has.
	if out, err := exec.Command("ip", "route", "add", "local", podNetwork, "dev", "lo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("route %s to this machine: %w: %s", podNetwork, err, out)
	}
	hurry()
	r, err := empty()
	if err != nil {
		return nil, err
	}
	return r, r.writeKeys()
}

func empty() (*Rig, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, fmt.Errorf("folder of the benchmark: %w", err)
	}
	return &Rig{Dir: dir, ports: 20000}, nil
}

// hurry puts whatever else runs on this machine second: other sessions, and other
// processes of this one. Refused to ordinary users: then the figures are noisier, their
// ratios less so.
func hurry() {
	const nice = -15
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(nice)), 0)
	threads, _ := os.ReadDir("/proc/self/task") // Linux has a priority a thread; children inherit it
	for _, t := range threads {
		id, _ := strconv.Atoi(t.Name())
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, nice)
	}
}

// Close ends every process and removes the folder, unless PERIJOVE_BENCH_KEEP is set.
func (r *Rig) Close() {
	for i := len(r.procs) - 1; i >= 0; i-- {
		r.procs[i].Kill()
	}
	if os.Getenv("PERIJOVE_BENCH_KEEP") == "" {
		_ = os.RemoveAll(r.Dir)
	}
}

// Path is a file in the rig's folder.
func (r *Rig) Path(name string) string { return filepath.Join(r.Dir, name) }

// addr returns a loopback address that nothing in the namespace uses.
func (r *Rig) addr() string {
	r.ports++
	return fmt.Sprintf("127.0.0.1:%d", r.ports)
}

// Proc is a process of the rig.
type Proc struct {
	Name string
	Log  string // path
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs a program; env entries are added to ours.
func (r *Rig) start(name string, env []string, path string, args ...string) (*Proc, error) {
	p := &Proc{Name: name, Log: r.Path(name + ".log"), done: make(chan struct{})}
	log, err := os.Create(p.Log)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal is the starting thread's: it must live as long as we do
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done); _ = log.Close() }()
	r.procs = append(r.procs, p)
	return p, nil
}

// PID is the process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Kill ends the process at once and waits for its end.
func (p *Proc) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Pause freezes the process, Resume lets it run: what only feeds the thing measured
// must not take its processor.
func (p *Proc) Pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (p *Proc) Resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// wait polls ok until it is true, the process ended or the time is over.
func (p *Proc) wait(what string, limit time.Duration, ok func() bool) error {
	if wait.Poll(limit, func() bool { return p.ended() || ok() }) && !p.ended() {
		return nil
	}
	return fmt.Errorf("%s (ended: %v): after %s still not: %s; its log ends:\n%s", p.Name, p.ended(), limit, what, tail(p.Log))
}

func (p *Proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// answers reports whether url answers 200.
func answers(client *http.Client, url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-4000):])
}

// Root is the repository's root folder.
func Root() string {
	root, err := repo.Find()
	if err != nil {
		panic(err) // started elsewhere, none of our files could be found
	}
	return root
}

// Cache is the folder of everything that is built or fetched once.
func Cache(elem ...string) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		panic(fmt.Sprintf("no cache folder: %v", err)) // no HOME: nothing of ours could run
	}
	return filepath.Join(append([]string{dir, "perijove"}, elem...)...)
}

func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		panic(fmt.Sprintf("address %q of our own: %v", addr, err))
	}
	return p
}

func number(addr string) int {
	n, err := strconv.Atoi(port(addr))
	if err != nil {
		panic(fmt.Sprintf("port of %q, of our own: %v", addr, err))
	}
	return n
}

// Main is the rest of a benchmark's main function, which has called Child and read its
// flags: it installs the peers that are needed, then it hands run a Rig in a network
// namespace. It returns the exit code; name stands before an error.
func Main(name string, run func(r *Rig) error, install ...func() error) int {
	if err := all(install); err != nil {
		return failed(name, err)
	}
	return netns.Main(func() int { return with(name, New, run) })
}

// OnMachine is Main for a benchmark of the cluster that runs on this machine: it has no network of
// its own, and what it starts goes no faster than the rest.
func OnMachine(name string, run func(r *Rig) error, install ...func() error) int {
	if err := all(install); err != nil {
		return failed(name, err)
	}
	return with(name, empty, run)
}

func all(install []func() error) error {
	for _, peer := range install {
		if err := peer(); err != nil {
			return err
		}
	}
	return nil
}

func with(name string, make func() (*Rig, error), run func(r *Rig) error) int {
	r, err := make()
	if err != nil {
		return failed(name, err)
	}
	defer r.Close()
	if err := run(r); err != nil {
		return failed(name, err)
	}
	return 0
}

func failed(name string, err error) int {
	fmt.Fprintln(os.Stderr, name+":", err)
	return 1
}
