package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// judges are the packages whose answer lets a request, a login or a route through, or
// ends a server.
var judges = []string{
	"pkg/server/access", "pkg/server/podmeta", "pkg/web/cookies", "pkg/web/origin", "pkg/web/redirect", "pkg/auth/check",
	"pkg/auth/identity", "pkg/auth/pass", "pkg/auth/session", "pkg/auth/tokens", "pkg/gateway/publish", "pkg/gateway/scopes",
	"pkg/hub/cull", "pkg/hub/quota",
}

//go:embed explained.txt
var explanations string

// root is the repository, seen from this module.
const root = ".."

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run searches in pkgs, all judges when there are none.
func run(pkgs []string) error {
	if len(pkgs) == 0 {
		pkgs = judges
	}
	explained, faults := parseExplanations(explanations)
	for _, pkg := range pkgs {
		if !slices.Contains(judges, pkg) {
			return fmt.Errorf("%s is not one of %s", pkg, strings.Join(judges, " "))
		}
		r, err := unleash(pkg)
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		summary, found := judge(pkg, r, line, explained)
		fmt.Println(summary)
		faults = append(faults, found...)
	}
	faults = append(faults, unused(explained, pkgs)...)
	if len(faults) > 0 {
		return fmt.Errorf("%d faults:\n%s", len(faults), strings.Join(faults, "\n"))
	}
	return nil
}

// unleash runs gremlins on one package. Its limit of time for a change is twenty times that of
// the unchanged tests, so that a busy machine is not taken for an endless loop.
func unleash(pkg string) (report, error) {
	out, err := os.CreateTemp("", "mutate-*.json")
	if err != nil {
		return report{}, fmt.Errorf("file for the report: %w", err)
	}
	_ = out.Close()
	defer func() { _ = os.Remove(out.Name()) }()
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", "gremlins", "unleash", "./"+pkg, "--silent", "--output", out.Name(), "--workers", "1", "--timeout-coefficient", "20")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if text, err := cmd.Output(); err != nil {
		return report{}, fmt.Errorf("gremlins: %w\n%s", err, text)
	}
	data, err := os.ReadFile(out.Name())
	if err != nil {
		return report{}, fmt.Errorf("read the report: %w", err)
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return report{}, fmt.Errorf("decode the report: %w", err)
	}
	return r, nil
}

// line returns one line of a file below the root, "" when there is none.
func line(file string, number int) string {
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(data), "\n")
	if number < 1 || number > len(lines) {
		return ""
	}
	return lines[number-1]
}
