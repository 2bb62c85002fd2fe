//go:build cluster

package chart

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/test/kubectl"
)

// B-24: what the chart says of names and amounts is what the real API server says, both
// ways: it takes each value that the chart takes, and refuses each that the schema refuses.
func TestClusterTakesWhatTheChartTakes(t *testing.T) {
	helm := helm(t)
	usual, problem, err := render(helm, "-f", onenode)
	if err != nil {
		t.Fatal(problem)
	}
	if said, err := dryRun(usual); err != nil {
		t.Fatalf("without further values: %s", said)
	}
	known := strings.Split(usual, "\n---\n")
	for _, c := range objectsMade {
		// What the templates refuse cannot be rendered.
		if c.lax || c.key != "" && !strings.HasPrefix(c.key, "/") {
			continue
		}
		out, problem, err := render(helm, "-f", onenode, "--skip-schema-validation", "--set-json", c.set)
		if err != nil {
			if c.key == "" || !strings.Contains(problem, "validate.yaml") {
				t.Errorf("%s: %s", c.set, problem)
			}
			continue
		}
		changed := slices.DeleteFunc(strings.Split(out, "\n---\n"), func(d string) bool { return slices.Contains(known, d) || strings.Contains(d, "kind: Secret") })
		if len(changed) == 0 {
			t.Errorf("%s changes no object", c.set)
		}
		said, err := dryRun(strings.Join(changed, "\n---\n"))
		if taken := err == nil; taken != (c.key == "") {
			t.Errorf("%s: Kubernetes takes it: %v\n%s", c.set, taken, said)
		}
	}
}

// dryRun asks the API server whether it would take objects from helm, and returns what it
// says.
func dryRun(objects string) (string, error) {
	apply := exec.Command(kubectl.Path(), "apply", "--server-side", "--field-manager=helm", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
	apply.Stdin = strings.NewReader(objects)
	said, err := apply.CombinedOutput()
	return string(said), err
}
