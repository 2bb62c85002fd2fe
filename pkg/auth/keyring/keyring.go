package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Grace is how long after the moment in its name a key begins to seal. A changed Secret
// reaches every pod within about two minutes; clocks may differ by some more.
const Grace = 10 * time.Minute

// layout is how a file name holds a moment, in UTC.
const layout = "20060102T1504Z"

var moment = regexp.MustCompile(`\d{8}T\d{4}Z`)

// Order puts key files in order at now: the first seals, all open. The newest key that
// is old enough comes first; a file without a moment in its name counts as the oldest,
// and among those the given order stays. Keys that are too young come last.
func Order(paths []string, now time.Time) []string {
	out := slices.Clone(paths)
	slices.SortStableFunc(out, func(a, b string) int {
		x, y := begins(a), begins(b)
		if youngX, youngY := x.After(now), y.After(now); youngX != youngY {
			return map[bool]int{true: 1, false: -1}[youngX]
		} else if youngX {
			return x.Compare(y)
		}
		return y.Compare(x)
	})
	return out
}

// begins is when a key may seal; zero for one that always could.
func begins(path string) time.Time {
	t, err := time.Parse(layout, moment.FindString(filepath.Base(path)))
	if err != nil {
		return time.Time{}
	}
	return t.Add(Grace)
}

// Files returns the files that the patterns (as in filepath.Match) stand for, in order
// at now. A pattern that stands for no file is an error: a mistyped one would leave the
// ring without its keys.
func Files(patterns []string, now time.Time) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("key files %q: %w", pattern, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("key files %q: there is none", pattern)
		}
		all = append(all, found...)
	}
	return Order(all, now), nil
}

// Watch calls use with the files in order at its first look, since they may have changed
// after they were loaded, and whenever they, their content or their order have changed
// since the last call that succeeded, until ctx is done. It looks every
// interval: the kubelet takes a minute to bring a changed Secret anyway. What use refuses
// is logged once; the keys in use stay.
func Watch(ctx context.Context, patterns []string, interval time.Duration, now func() time.Time, log *slog.Logger, use func(files []string) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last sight
	complained := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		seen := look(patterns, now())
		if seen.err == nil && bytes.Equal(seen.sum, last.sum) {
			continue
		}
		err := seen.err
		if err == nil {
			err = use(seen.files)
		}
		switch {
		case err == nil && last.sum == nil:
			last, complained = seen, ""
		case err == nil:
			last, complained = seen, ""
			log.InfoContext(ctx, "keys changed", "first", seen.files[0], "keys", len(seen.files))
		case err.Error() != complained:
			complained = err.Error()
			log.ErrorContext(ctx, "changed keys cannot be used; the old ones stay in use", "error", err)
		}
	}
}

type sight struct {
	files []string
	sum   []byte // of names, order and content
	err   error
}

func look(patterns []string, now time.Time) sight {
	files, err := Files(patterns, now)
	if err != nil {
		return sight{err: err}
	}
	sum := sha256.New()
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return sight{err: fmt.Errorf("read key file: %w", err)}
		}
		fmt.Fprintf(sum, "%d:%s%d:", len(path), path, len(content))
		sum.Write(content)
	}
	return sight{files: files, sum: sum.Sum(nil)}
}
