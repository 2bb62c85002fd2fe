package port

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder is a program that listens on a port.
type Holder struct {
	PID     int    // 0 when it could not be found out, for want of root
	Program string // its command line, shortened
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another user's program (run as root to see which)"
	}
	return fmt.Sprintf("%s (process %d)", h.Program, h.PID)
}

// listening is the state of a listening socket in /proc/net/tcp.
const listening = "0A"

// Find returns the program that listens on the port, nil if there is none. proc is "/proc".
func Find(proc string, port int) (*Holder, error) {
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, table))
		if os.IsNotExist(err) {
			continue // a machine without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("look who listens: %w", err)
		}
		if inode := listener(string(text), port); inode != "" {
			return owner(proc, inode), nil
		}
	}
	return nil, nil
}

// listener returns the inode of the socket that listens on the port, "" if none does.
// Lines read "0: 0100007F:1F40 00000000:0000 0A … uid timeout inode …".
func listener(table string, port int) string {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[3] == listening && strings.HasSuffix(fields[1], suffix) {
			return fields[9]
		}
	}
	return ""
}

// owner finds the process that has the socket open.
func owner(proc, inode string) *Holder {
	want := "socket:[" + inode + "]"
	descriptors, err := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*"))
	if err != nil {
		return &Holder{}
	}
	for _, descriptor := range descriptors {
		// A process that ended meanwhile, or another user's: not an answer, not an error.
		if target, err := os.Readlink(descriptor); err != nil || target != want {
			continue
		}
		process := filepath.Dir(filepath.Dir(descriptor))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		return &Holder{PID: pid, Program: program(process)}
	}
	return &Holder{}
}

func program(process string) string {
	const longest = 80
	line, err := os.ReadFile(filepath.Join(process, "cmdline"))
	if err != nil || len(line) == 0 {
		return "a program"
	}
	text := strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strconv.Quote(text)
}
