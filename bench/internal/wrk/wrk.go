// Package wrk drives the load generator wrk (HTTP/1.1). wrk is written in C, so that
// its own cost is a small part of what is measured.
package wrk

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var script []byte

// Request is one line of the load: a path and its Cookie header.
type Request struct{ Path, Cookie string }

// Load is a set of requests that are sent in turn, over and over.
type Load struct{ script, file, host string }

// Prepare writes the load into dir.
func Prepare(dir, name, host string, requests []Request) (*Load, error) {
	l := &Load{script: filepath.Join(dir, "load.lua"), file: filepath.Join(dir, name+".load"), host: host}
	var lines strings.Builder
	for _, r := range requests {
		lines.WriteString(r.Path + "\t" + r.Cookie + "\n")
	}
	if err := os.WriteFile(l.script, script, 0o600); err != nil {
		return nil, fmt.Errorf("wrk's script: %w", err)
	}
	if err := os.WriteFile(l.file, []byte(lines.String()), 0o600); err != nil {
		return nil, fmt.Errorf("wrk's requests: %w", err)
	}
	return l, nil
}

// Result is what wrk saw.
type Result struct {
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"`
	Micros   int64   `json:"micros"`
	Errors   int64   `json:"errors"` // refused, broken, timed out or status over 399
	P50      float64 `json:"p50"`    // microseconds
	P99      float64 `json:"p99"`    // microseconds
}

// PerSecond is the rate.
func (r Result) PerSecond() float64 { return float64(r.Requests) / (float64(r.Micros) / 1e6) }

// Run sends the load to addr over so many connections.
func (l *Load) Run(addr string, connections int, duration time.Duration) (Result, error) {
	cmd := exec.Command("wrk", "--threads=1", "--connections="+strconv.Itoa(connections), "--timeout=10s",
		"--duration="+strconv.FormatFloat(duration.Seconds(), 'f', 0, 64)+"s", "--script="+l.script, "http://"+addr, "--", l.file, l.host)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Result{}, fmt.Errorf("wrk (Debian package wrk): %w: %s", err, out)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var result Result
	if err := json.Unmarshal(lines[len(lines)-1], &result); err != nil {
		return Result{}, fmt.Errorf("wrk's last line is no result: %w: %s", err, out)
	}
	return result, nil
}
