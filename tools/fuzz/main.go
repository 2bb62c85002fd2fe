package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// root is the repository, seen from this module.
const root = ".."

func main() {
	limit := flag.Duration("time", 5*time.Second, "how long each target searches")
	only := flag.String("only", "", "targets whose folder and name contain this text")
	flag.Parse()
	if err := run(*limit, *only); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(limit time.Duration, only string) error {
	files, err := tests()
	if err != nil {
		return err
	}
	var table strings.Builder
	var total time.Duration
	var faults []error
	for _, t := range targets(files) {
		if !strings.Contains(t.String(), only) {
			continue
		}
		fmt.Println("==", t)
		used, err := search(t, limit)
		total += used
		verdict := "found nothing"
		if err != nil {
			verdict = "FAILED"
			faults = append(faults, fmt.Errorf("%s: %w", t, err))
		}
		fmt.Fprintf(&table, "%8.1f s  %s: %s\n", used.Seconds(), t, verdict)
	}
	if table.Len() == 0 {
		return fmt.Errorf("no fuzz target contains %q", only)
	}
	fmt.Printf("%s%8.1f s  processor time in all, compiling included\n", table.String(), total.Seconds())
	return errors.Join(faults...)
}

// tests returns the tracked test files, by path.
func tests() (map[string]string, error) {
	list := exec.Command("git", "ls-files", "-z", "*_test.go")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("read a test: %w", err)
		}
		all[name] = string(data)
	}
	return all, nil
}

// search runs one target and returns the processor time that it took.
func search(t target, limit time.Duration) (time.Duration, error) {
	cmd := exec.Command("go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+limit.String(), ".")
	cmd.Dir = filepath.Join(root, t.dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &output), io.MultiWriter(os.Stderr, &output)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err // it never started
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil && spurious(output.String()) {
		fmt.Println("the time was over while a worker was busy; no input failed")
		err = nil
	}
	return used, err
}
