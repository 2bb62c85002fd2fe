package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// step runs one part of the work. It prints a line when it is done, with what do
// returned and the time that it took; what do's programs print goes to a log file.
// A failure says which log to read, shows its end, and says what to do (advice).
func (u *up) step(ctx context.Context, name, advice string, do func(ctx context.Context, log *os.File) (string, error)) error {
	path := filepath.Join(u.logs, strings.ReplaceAll(strings.ToLower(name), " ", "-")+".log")
	log, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("%s: open its log: %w", name, err)
	}
	defer log.Close()
	began := time.Now()
	note, err := do(ctx, log)
	if err != nil {
		return &stepError{name: name, advice: advice, log: path, tail: tail(path, 15), err: err}
	}
	fmt.Fprintf(u.out, "%7s  %-22s %6s  %s\n", since(u.start), name, since(began), note)
	return nil
}

// stepError says what failed, why, and what the reader can do next.
type stepError struct {
	name, advice, log, tail string
	err                     error
}

func (e *stepError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s failed: %v\n", e.name, e.err)
	if e.tail != "" {
		fmt.Fprintf(&text, "\n%s\n", e.tail)
	}
	fmt.Fprintf(&text, "Log: %s\n", e.log)
	if e.advice != "" {
		fmt.Fprintf(&text, "What to do: %s\n", e.advice)
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

func since(t time.Time) string { return fmt.Sprintf("%.1fs", time.Since(t).Seconds()) }
