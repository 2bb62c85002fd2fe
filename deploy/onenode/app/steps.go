package app

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// steps prints one line per step with the time since the start.
type steps struct {
	out     io.Writer
	started time.Time
}

func newSteps(out io.Writer) steps { return steps{out: out, started: time.Now()} }

func (s steps) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.started).Seconds(), fmt.Sprintf(format, args...))
}

// tail returns the last lines of a log file, indented.
func tail(path string, lines int) string {
	const enough = 64 << 10
	file, err := os.Open(path)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > enough {
		_, _ = file.Seek(-enough, io.SeekEnd) // at worst the whole file is read
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return "  (log cannot be read: " + err.Error() + ")"
	}
	all := slices.Collect(strings.Lines(string(content)))
	return "  " + strings.Join(all[max(0, len(all)-lines):], "  ")
}
