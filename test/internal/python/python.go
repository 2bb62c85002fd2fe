package python

import (
	"crypto/sha256"
	_ "embed" // the lists
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is what is to be installed.
type Program struct {
	name string
	list string
}

//go:embed schemathesis/requirements.txt
var schemathesis string

//go:embed idleculler/requirements.txt
var idleCuller string

// Schemathesis asks an API what its OpenAPI document says, and much that it does not say.
func Schemathesis() Program { return Program{"schemathesis", schemathesis} }

// IdleCuller is JupyterHub's service that stops idle servers.
func IdleCuller() Program { return Program{"idle-culler", idleCuller} }

// Listed is a program whose packages are in a list of requirements with hashes.
func Listed(name, list string) Program { return Program{name, list} }

// Install installs a program unless it is there, and returns its folder, which is a virtual environment.
func (p Program) Install() (dir string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(p.list))
	dir = filepath.Join(cache, "perijove", p.name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(dir, "ok")); err == nil {
		return dir, nil
	}
	list, err := os.CreateTemp("", "requirements")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(list.Name()) }()
	if _, err := list.WriteString(p.list); err != nil {
		return "", err
	}
	if err := list.Close(); err != nil {
		return "", err
	}
	for _, cmd := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-deps", "--require-hashes", "-r", list.Name()},
		{filepath.Join(dir, "bin", "pip"), "check"}, // the list is complete
	} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("install %s: %v: %w\n%s", p.name, cmd, err, out)
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "ok"), nil, 0o600)
}
