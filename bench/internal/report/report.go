// Package report writes what the benchmarks found: tables between the markers of
// docs/performance.md, JSON and plots under docs/performance/. It measures nothing.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/test/repo"
)

// Table is a Markdown table. A row of one cell is a heading.
type Table struct {
	Header []string
	Rows   [][]string
}

// Markdown returns the table with aligned columns.
func (t Table) Markdown() string {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	line := func(row []string) {
		for i, w := range widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			space := strings.Repeat(" ", w-len([]rune(cell)))
			if i == 0 {
				out.WriteString("| " + cell + space)
			} else {
				out.WriteString(" | " + space + cell)
			}
		}
		out.WriteString(" |\n")
	}
	line(t.Header)
	for i, w := range widths {
		if i == 0 {
			out.WriteString("|" + strings.Repeat("-", w+2))
		} else {
			out.WriteString("|" + strings.Repeat("-", w+1) + ":") // numbers stand right
		}
	}
	out.WriteString("|\n")
	for _, row := range t.Rows {
		line(row)
	}
	return out.String()
}

// Number shows three digits at least, and no more than are known.
func Number(x float64) string {
	switch {
	case x >= 100:
		return Count(int(x + 0.5))
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// Count shows n with commas.
func Count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Median of at least one value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Quantile returns the value that a share q of at least one value does not exceed.
func Quantile(values []float64, q float64) float64 {
	return slices.Sorted(slices.Values(values))[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}

// Machine says where the figures come from; more are versions of what else was measured.
func Machine(more ...string) string {
	var u syscall.Utsname
	_ = syscall.Uname(&u)
	envoy, _ := repo.Pinned("ENVOY_VERSION")
	commit, _ := exec.Command("git", "-C", rig.Root(), "describe", "--always", "--dirty", "--exclude=*").Output()
	line := fmt.Sprintf("%s, commit %s: %d cores (%s), Linux %s, %s, Envoy %s, %s, configurable-http-proxy %s on Node.js %s",
		time.Now().UTC().Format("2006-01-02 15:04"), strings.TrimSpace(string(commit)), runtime.NumCPU(), processor(), text(u.Release[:]), runtime.Version(),
		envoy, rig.KubernetesVersion(), rig.CHPVersion, output("node", "--version"))
	if rig.HasTraefik() {
		line += ", Traefik " + rig.TraefikVersion
	}
	return strings.Join(append([]string{line}, more...), ", ") + ".\n"
}

func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n")
		}
	}
	return "unknown processor"
}

func text(field []int8) string {
	var b []byte
	for _, c := range field {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func folder() string { return filepath.Join(rig.Root(), "docs", "performance") }

// JSON writes v to docs/performance/name.
func JSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := os.MkdirAll(folder(), 0o755); err != nil {
		return fmt.Errorf("folder of results: %w", err)
	}
	return os.WriteFile(filepath.Join(folder(), name), append(data, '\n'), 0o644)
}

// Doc replaces what stands between the markers called name in docs/performance.md.
func Doc(name, text string) error { return DocIn("performance.md", name, text) }

// DocIn is Doc for another document of docs/.
func DocIn(document, name, text string) error {
	path := filepath.Join(rig.Root(), "docs", document)
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the document: %w", err)
	}
	next, err := between(string(data), name, text)
	if err != nil {
		return fmt.Errorf("docs/%s: %w", document, err)
	}
	return os.WriteFile(path, []byte(next), 0o644)
}

func between(doc, name, text string) (string, error) {
	begin, end := "<!-- bench "+name+": written by make bench -->\n", "<!-- end of bench "+name+" -->"
	before, rest, ok := strings.Cut(doc, begin)
	if !ok {
		return "", fmt.Errorf("has no line %q", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("has no line %q", end)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
