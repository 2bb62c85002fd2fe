package wheel

import (
	"context"
	"fmt"
	"io"
	"os/exec"
)

// Download fetches the wheels of a requirements file with hashes into the folder to,
// for CPython pythonVersion ("3.11") on glibc 2.31 or newer; the Python that runs pip may be another.
func Download(ctx context.Context, log io.Writer, requirements, pythonVersion, machine, to string) error {
	args := []string{
		"-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
		"--python-version", pythonVersion, "--dest", to, "-r", requirements,
	}
	for _, glibc := range []string{"2_31", "2_28", "2_27", "2_26", "2_24", "2_17"} {
		args = append(args, "--platform", "manylinux_"+glibc+"_"+machine)
	}
	args = append(args, "--platform", "manylinux2014_"+machine)
	pip := exec.CommandContext(ctx, "python3", args...)
	pip.Stdout, pip.Stderr = log, log
	if err := pip.Run(); err != nil {
		return fmt.Errorf("download Python packages with pip: %w", err)
	}
	return nil
}
