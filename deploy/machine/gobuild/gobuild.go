package gobuild

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/modfile"
)

// Build is one run of `go build`.
type Build struct {
	Dir      string   // of the module
	Modfile  string   // go.mod in another place, "" for Dir's own
	Tags     string   // build tags, with commas
	Link     []string // flags of the linker, such as -X=path.name=value
	Out      string   // a file, or a folder with a slash at its end
	Packages []string
}

// between is the time between two lines of progress.
const between = 20 * time.Second

// Run compiles and links. What `go` prints goes to log, and say gets a line about how far it is from time to time. An error
// ends with what the compiler said.
//
// Modules are downloaded beside other builds, and compiled after them: one `go build` keeps all cores busy, and two at once
// would compile what they share twice.
func (b Build) Run(ctx context.Context, log io.Writer, say func(string)) error {
	waiting, err := b.stale(ctx, log, say)
	if err != nil {
		return err
	}
	if len(waiting) == 0 {
		return b.Quick(ctx, log)
	}
	unlock, err := lock(ctx, say)
	if err != nil {
		return err
	}
	defer unlock()
	if waiting, err = b.stale(ctx, log, say); err != nil { // the build before may have compiled many of them
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	defer reader.Close()
	cmd := b.command(ctx, b.args())
	cmd.Stdout, cmd.Stderr = log, writer
	err = cmd.Start()
	writer.Close() // the child has its own
	if err != nil {
		return explain(ctx, err, "")
	}
	failure := watch(io.TeeReader(reader, log), newProgress(waiting, time.Now()), say)
	return explain(ctx, cmd.Wait(), failure)
}

// Quick is Run without the questions first: for programs that are small, or built already.
func (b Build) Quick(ctx context.Context, log io.Writer) error {
	cmd := b.command(ctx, b.args())
	var failure lastLines
	cmd.Stdout, cmd.Stderr = log, io.MultiWriter(log, &failure)
	return explain(ctx, cmd.Run(), failure.String())
}

// lock waits until no other Run compiles on this machine for this user.
func lock(ctx context.Context, say func(string)) (unlock func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	folder := filepath.Join(cache, "perijove")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(folder, "compile.lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the compiler: %w", err)
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close() // nothing was written
			return nil, fmt.Errorf("lock the compiler: %w", err)
		}
		if !said {
			say("waits for another program to be compiled")
		}
		select {
		case <-ctx.Done():
			_ = file.Close() // nothing was written
			return nil, fmt.Errorf("wait for another program to be compiled: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// command runs `go` without a developer's settings that would compile everything a second time, and without cgo: the
// programs run where no C library is. When ctx ends it is asked to stop, and has a moment to remove its files.
//
// A compiler lives for a second: to collect its garbage costs a fifth of its time, so it does that only if the heap grows
// to a gibibyte. The largest package of Kubernetes needs three quarters of that.
func (b Build) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOGC=off", "GOMEMLIMIT=1GiB")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func (b Build) args() []string {
	link := strings.Join(append([]string{"-s", "-w"}, b.Link...), " ")
	args := append([]string{"build", "-v"}, b.flags()...)
	return append(append(args, "-ldflags="+link, "-o", b.Out), b.Packages...)
}

// compileFlags decide what the compiler writes, and so under which key the cache keeps it. Without DWARF the compiler has an
// eighth less to do, and `-s -w` would throw DWARF away in the end; stack traces do not need it.
func compileFlags() []string { return []string{"-trimpath", "-gcflags=all=-dwarf=false"} }

func (b Build) flags() []string {
	flags := append([]string{"-mod=readonly", "-buildvcs=false"}, compileFlags()...)
	if b.Modfile != "" {
		flags = append(flags, "-modfile="+b.Modfile)
	}
	if b.Tags != "" {
		flags = append(flags, "-tags="+b.Tags)
	}
	return flags
}

// stale returns the packages that the build cache lacks, each with the size of its sources. It downloads the modules that
// are missing. Commands do not count: `go list` calls them stale for ever, because they are not installed.
func (b Build) stale(ctx context.Context, log io.Writer, say func(string)) (map[string]int64, error) {
	const format = `{{if and .Stale (ne .Name "main")}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{range .GoFiles}}{{"\t"}}{{.}}{{end}}{{end}}`
	cmd := b.command(ctx, append(append([]string{"list", "-deps", "-f", format}, b.flags()...), b.Packages...))
	most, err := b.modules()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	failure := &lastLines{}
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(log, failure, &downloads{say: say, last: time.Now(), most: most})
	if err := cmd.Run(); err != nil {
		return nil, explain(ctx, err, failure.String())
	}
	sizes := map[string]int64{}
	for line := range strings.Lines(out.String()) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) < 2 || fields[0] == "unsafe" {
			continue
		}
		for _, file := range fields[2:] {
			if info, err := os.Stat(filepath.Join(fields[1], file)); err == nil {
				sizes[fields[0]] += info.Size()
			}
		}
	}
	return sizes, nil
}

// modules counts the modules that go.mod lists.
func (b Build) modules() (int, error) {
	path := filepath.Join(b.Dir, cmp.Or(b.Modfile, "go.mod"))
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read the versions: %w", err)
	}
	parsed, err := modfile.ParseLax(path, text, nil)
	if err != nil {
		return 0, fmt.Errorf("read the versions: %w", err)
	}
	return len(parsed.Require), nil
}

// watch reads `go build -v`, which names each package when it begins to compile it, and returns the lines that are no such
// names: the errors.
func watch(output io.Reader, p *progress, say func(string)) string {
	var failure lastLines
	last := time.Now()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if line := lines.Text(); !p.compiled(line) {
			fmt.Fprintln(&failure, line)
		}
		if now := time.Now(); now.Sub(last) > between {
			last = now
			say(p.text(now))
		}
	}
	return failure.String()
}

// explain turns the failure of `go` into an error that a reader can act on. failure is what it printed last.
func explain(ctx context.Context, err error, failure string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("go is not on the PATH")
	case failure == "":
		return fmt.Errorf("go build: %w", errors.Join(err, ctx.Err()))
	}
	return fmt.Errorf("go build: %w\n%s", errors.Join(err, ctx.Err()), failure)
}
