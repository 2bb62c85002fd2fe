// Package h2load drives the load generator h2load of nghttp2 (HTTP/2 without TLS).
package h2load

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Load is what one connection asks for, over and over.
type Load struct{ Path, Cookie string }

// Result is what all connections saw together.
type Result struct {
	PerSecond float64
	P50, P99  time.Duration
	Errors    int64 // any status but 200, or none
}

// Run opens one connection for each load, with so many concurrent streams. h2load sends
// the same headers on all connections of one process, so each has a process.
func Run(dir, addr, host string, loads []Load, streams int, duration time.Duration) (Result, error) {
	logs := make([]string, len(loads))
	var g errgroup.Group
	for i, l := range loads {
		logs[i] = filepath.Join(dir, fmt.Sprintf("h2load-%d.tsv", i))
		_ = os.Remove(logs[i]) // h2load appends
		g.Go(func() error {
			out, err := exec.Command("h2load", "--clients=1", "--threads=1", "--max-concurrent-streams="+strconv.Itoa(streams),
				"--duration="+strconv.FormatFloat(duration.Seconds(), 'f', 0, 64), "--window-bits=20", "--connection-window-bits=24", "--log-file="+logs[i],
				"--header=:authority: "+host, "--header=cookie: "+l.Cookie,
				"--header=user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36",
				"--header=accept: */*", "--header=accept-language: en-US,en;q=0.9", "--header=accept-encoding: gzip, deflate, br",
				"--header=referer: http://"+host+"/user/lab", "--header=sec-fetch-site: same-origin", "--header=sec-fetch-mode: cors", "--header=sec-fetch-dest: empty",
				"http://"+addr+l.Path).CombinedOutput()
			if err != nil {
				return fmt.Errorf("h2load (Debian package nghttp2-client): %w: %s", err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	return read(logs, duration)
}

// read sums up h2load's logs: start in microseconds, status, duration in microseconds.
func read(logs []string, duration time.Duration) (Result, error) {
	var result Result
	var times []int64
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			return Result{}, fmt.Errorf("h2load's log: %w", err)
		}
		for line := range bytes.Lines(data) {
			fields := bytes.Fields(line)
			if len(fields) != 3 {
				return Result{}, fmt.Errorf("h2load's log has the line %q", line)
			}
			took, err := strconv.ParseInt(string(fields[2]), 10, 64)
			if err != nil {
				return Result{}, fmt.Errorf("h2load's log: %w", err)
			}
			if string(fields[1]) != "200" {
				result.Errors++
				continue
			}
			times = append(times, took)
		}
	}
	if len(times) == 0 {
		return result, fmt.Errorf("no request was answered, %d were refused", result.Errors)
	}
	slices.Sort(times)
	at := func(q float64) time.Duration {
		return time.Duration(times[int(math.Ceil(q*float64(len(times))))-1]) * time.Microsecond
	}
	result.PerSecond, result.P50, result.P99 = float64(len(times))/duration.Seconds(), at(0.5), at(0.99)
	return result, nil
}
