package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// unpack writes the files of a docker-archive below dir. Files that an upper layer removes stay.
func unpack(archive, dir string) (*runner, error) {
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := tar(archive, dir); err != nil {
		return nil, err
	}
	var images []struct {
		Config string
		Layers []string
	}
	if err := read(filepath.Join(dir, "manifest.json"), &images); err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("%d images in it, want one", len(images))
	}
	var config struct {
		Config struct{ Entrypoint, Cmd []string }
	}
	if err := read(filepath.Join(dir, images[0].Config), &config); err != nil {
		return nil, err
	}
	for _, layer := range images[0].Layers {
		if err := tar(filepath.Join(dir, layer), root); err != nil {
			return nil, err
		}
	}
	command := append(config.Config.Entrypoint, config.Config.Cmd...)
	if len(command) == 0 {
		return nil, fmt.Errorf("it has no command")
	}
	return &runner{root: root, command: command}, nil
}

func tar(archive, to string) error {
	if out, err := exec.Command("tar", "--force-local", "-xf", archive, "-C", to).CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	return nil
}

func read(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// processorTime is what a process has used so far, threads that have ended included: its clock, whose number holds the
// process (clock_getcpuclockid(3)).
func processorTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &spent); err != nil {
		return 0, fmt.Errorf("ask for the processor time: %w", err)
	}
	return time.Duration(spent.Nano()), nil
}
