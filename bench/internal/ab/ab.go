// Package ab drives ApacheBench. It speaks HTTP/1.0 and makes a connection for each request, as
// the browsers of its time did.
package ab

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Load is how much is asked.
type Load struct {
	Requests, AtOnce int
	// Namespace is the file of the network namespace in which ApacheBench runs; "" for ours.
	Namespace string
}

// Target is what is asked.
type Target struct {
	URL string
	// Headers are lines "Name: value".
	Headers []string
	// Length is that of the body that every answer must have, in bytes.
	Length int
}

// Result is what ApacheBench saw.
type Result struct {
	PerSecond float64 `json:"perSecond"`
	// Percentiles are milliseconds: so many percent of the requests took that long at most. The
	// first, of 0 percent, is the quickest request and the last, of 100, the slowest.
	Percentiles []float64 `json:"percentiles"`
}

// Run asks. Every answer must be 200 with a body of the target's length. dir is for its files.
func Run(ctx context.Context, dir string, load Load, to Target) (Result, error) {
	file := filepath.Join(dir, "percentiles.csv")
	args := []string{"ab", "-q", "-n", strconv.Itoa(load.Requests), "-c", strconv.Itoa(load.AtOnce), "-e", file}
	for _, line := range to.Headers {
		args = append(args, "-H", line)
	}
	args = append(args, to.URL)
	if load.Namespace != "" {
		args = append([]string{"nsenter", "--net=" + load.Namespace}, args...)
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput() //nolint:gosec // a benchmark's own targets
	if err != nil {
		return Result{}, fmt.Errorf("ab (Debian package apache2-utils): %w: %s", err, out)
	}
	percentiles, err := os.ReadFile(file)
	if err != nil {
		return Result{}, fmt.Errorf("ab's percentiles: %w", err)
	}
	result, err := read(out, percentiles)
	if err == nil {
		err = judge(out, load, to)
	}
	if err != nil {
		return Result{}, fmt.Errorf("%w; ab says:\n%s", err, out)
	}
	return result, nil
}

// read takes the figures from what ab prints and from its table of percentiles.
func read(printed, percentiles []byte) (r Result, err error) {
	if r.PerSecond, err = figure(printed, "Requests per second"); err != nil {
		return r, err
	}
	rows, err := csv.NewReader(bytes.NewReader(percentiles)).ReadAll()
	if err != nil {
		return r, fmt.Errorf("ab's percentiles: %w", err)
	}
	const header, all = 1, 101
	if len(rows) != header+all {
		return r, fmt.Errorf("ab's percentiles: %d lines, want %d", len(rows), header+all)
	}
	for i, row := range rows[header:] {
		ms, err := strconv.ParseFloat(row[1], 64)
		if err != nil || row[0] != strconv.Itoa(i) {
			return r, fmt.Errorf("ab's percentiles: line %q of percentile %d", row, i)
		}
		r.Percentiles = append(r.Percentiles, ms)
	}
	return r, nil
}

// judge is an error unless every answer was as it had to be.
func judge(printed []byte, load Load, to Target) error {
	for _, want := range []struct {
		what  string
		value int
	}{
		{"Complete requests", load.Requests}, {"Failed requests", 0}, {"Document Length", to.Length},
	} {
		got, err := figure(printed, want.what)
		if err != nil {
			return err
		}
		if int(got) != want.value {
			return fmt.Errorf("%s: %.0f, want %d", want.what, got, want.value)
		}
	}
	for _, what := range []string{"Non-2xx responses", "Write errors"} { // ab says so only if there are some
		if _, err := figure(printed, what); err == nil {
			return fmt.Errorf("some %s", what)
		}
	}
	return nil
}

// figure is the number behind a name in what ab prints.
func figure(printed []byte, name string) (float64, error) {
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:\s+([0-9.]+)`).FindSubmatch(printed)
	if m == nil {
		return 0, fmt.Errorf("ab does not say: %s", name)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
