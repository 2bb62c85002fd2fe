package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/perijove/perijove/deploy/machine/gobuild"
)

// console prints whole lines, each with the time since the start: several steps run at
// once, and the reader sees which of them takes long.
type console struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func (c *console) say(who, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, "%7s  %-9s %s\n", seconds(time.Since(c.start)), who, fmt.Sprintf(format, args...))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// step is one part of the work.
type step struct {
	name   string // also of its log file
	advice string // what to do when it fails
	do     func(ctx context.Context, log *stepLog) (note string, err error)
}

// stepLog is where a step's programs print: a file that the reader is sent to.
type stepLog struct {
	*os.File
	who     string
	console *console
}

// live copies all that is written to it to the log, and to the reader each line that begins
// with mark, without the mark and the space around.
func (l *stepLog) live(mark string) io.Writer { return &liveLines{log: l, mark: mark} }

type liveLines struct {
	log  *stepLog
	mark string
	rest []byte
}

func (w *liveLines) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			break
		}
		w.rest = rest
		text, marked := strings.CutPrefix(string(line), w.mark)
		if text = strings.TrimSpace(text); marked && text != "" {
			w.log.say(text)
		}
	}
	return w.log.Write(p)
}

// run runs a step. It prints a line when the step begins and one when it is done, with
// the time that it took. An error says which log to read, shows its end, and says what
// to do.
func (u *up) run(ctx context.Context, s step) error {
	path := filepath.Join(u.logs, strings.ReplaceAll(s.name, " ", "-")+".log")
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("%s: open its log: %w", s.name, err)
	}
	defer file.Close()
	began := time.Now()
	note, err := s.do(ctx, &stepLog{File: file, who: s.name, console: u.console})
	if err != nil {
		return &stepError{step: s, log: path, tail: tail(path, 15), err: err}
	}
	u.console.say(s.name, "done in %s: %s", seconds(time.Since(began)), note)
	return nil
}

// stepError says what failed, why, and what the reader can do next.
type stepError struct {
	step      step
	log, tail string
	err       error
}

func (e *stepError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s failed: %v\n", e.step.name, e.err)
	if e.tail != "" {
		fmt.Fprintf(&text, "\n%s\n\n", e.tail)
	}
	fmt.Fprintf(&text, "Log: %s\n", e.log)
	if e.step.advice != "" {
		fmt.Fprintf(&text, "What to do: %s\n", e.step.advice)
	}
	return text.String()
}

func (e *stepError) Unwrap() error { return e.err }

// tail returns the last lines of a file, indented.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return "  | " + strings.Join(all[max(0, len(all)-lines):], "\n  | ")
}

// command prepares a program whose output goes to the step's log. When ctx ends the
// program is asked to stop, and has a moment to clean up before it is killed.
func (u *up) command(ctx context.Context, log io.Writer, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// say tells the reader how far the step is.
func (l *stepLog) say(text string) { l.console.say(l.who, "%s", text) }

// build compiles a small Go program of the repository into the cache and returns its path.
func (u *up) build(ctx context.Context, log io.Writer, name, pkg string) (string, error) {
	binary := filepath.Join(u.cache, "bin", name)
	build := gobuild.Build{Dir: u.root, Out: binary, Packages: []string{pkg}}
	if err := build.Quick(ctx, log); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return binary, nil
}
