package test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/perijove/perijove/test/repo"
)

// formerNames are packages that have another name now. As words they have no other meaning, so a
// comment that says one sends its reader to a place that does not exist.
var formerNames = []string{"edgecert", "extauthz", "kubecluster", "podform", "selfservice", "xdsserve"}

// texts are the tracked text files of the tree, by path.
type texts map[string]string

func tracked(t *testing.T) texts {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = repo.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	all := texts{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(cmd.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(data)
	}
	return all
}

// has reports whether name is a tracked file or a folder of one.
func (all texts) has(name string) bool {
	if _, ok := all[name]; ok || name == "." {
		return true
	}
	for file := range all {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	spans   = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	// named finds tests, make targets in code spans, and metrics.
	named = regexp.MustCompile("\\b((?:Test|Fuzz)[A-Z]\\w*)|`make ([a-z0-9-]+)|\\b((?:perijove|jupyterhub)_[a-z_]+)")
	// inPkg finds paths below pkg of this module, and not of another's.
	inPkg = regexp.MustCompile(`(?:^|[^\w/.@-]|perijove/perijove/|\./)(pkg/[\w./-]+)`)
)

// deadLinks returns the links of the Markdown file name that lead to no file, folder or heading
// of this repository. Links to other hosts are not followed.
func (all texts) deadLinks(name string) []string {
	var dead []string
	prose := spans.ReplaceAllString(fenced.ReplaceAllString(all[name], ""), "")
	for _, found := range link.FindAllStringSubmatch(prose, -1) {
		target, anchor, _ := strings.Cut(found[1], "#")
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		file := name
		if target != "" {
			file = path.Join(path.Dir(name), target)
		}
		if !all.has(file) || anchor != "" && !slices.Contains(anchors(all[file]), anchor) {
			dead = append(dead, found[1])
		}
	}
	return dead
}

// anchors returns the fragments of a Markdown text's headings, as GitHub makes them.
func anchors(text string) []string {
	var out []string
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, found[1]))
	}
	return out
}

// formerPackages returns what a text says of packages that are not there: paths below pkg that
// lead nowhere, and names that a package had before.
func (all texts) formerPackages(text string) []string {
	var wrong []string
	for _, found := range inPkg.FindAllStringSubmatch(text, -1) {
		if name := strings.TrimRight(found[1], "./-"); name != "pkg" && !all.has(name) {
			wrong = append(wrong, name)
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if slices.Contains(formerNames, word) {
			wrong = append(wrong, word)
		}
	}
	return wrong
}

// missing returns the tests, make targets and metrics that the Markdown file name speaks of and
// that are not there. The beginning of a test's name stands for all that begin so.
func (all texts) missing(name string) []string {
	var wrong []string
	for _, found := range named.FindAllStringSubmatch(all[name], -1) {
		test, target, metric := found[1], found[2], found[3]
		if test != "" && !all.contain("_test.go", "\nfunc "+test) ||
			target != "" && !all.contain("Makefile", "\n"+target+":") ||
			metric != "" && !all.contain(".go", `"`+metric+`"`) {
			wrong = append(wrong, test+target+metric)
		}
	}
	return wrong
}

// contain reports whether a file whose name ends with suffix contains what.
func (all texts) contain(suffix, what string) bool {
	for name, text := range all {
		if strings.HasSuffix(name, suffix) && strings.Contains(text, what) {
			return true
		}
	}
	return false
}

// documents runs check on every document and reports what it finds wrong.
func (all texts) documents(t *testing.T, check func(name string) []string, fault string) {
	t.Helper()
	for name := range all {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, wrong := range check(name) {
			t.Errorf("%s: %q %s", name, wrong, fault)
		}
	}
}

func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	all := tracked(t)
	all.documents(t, all.missing, "is no test, make target or metric")
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := tracked(t)
	all.documents(t, all.deadLinks, "is a link that leads nowhere")
}

func TestTextsNamePackagesThatExist(t *testing.T) {
	t.Parallel()
	all := tracked(t)
	for name, text := range all {
		if name == "test/docs_test.go" {
			continue
		}
		for _, wrong := range all.formerPackages(text) {
			t.Errorf("%s names %s, which does not exist", name, wrong)
		}
	}
}

// TestTheChecksOfTextsSee is the negative control: each check finds what is wrong, and only that.
func TestTheChecksOfTextsSee(t *testing.T) {
	t.Parallel()
	all := texts{
		"README.md": "# Perijove\n## Try `it`, now\n[a](docs/a.md) [b](docs/gone.md) [c](#try-it-now) [d](#gone)\n" +
			"[e](docs/a.md#one_a) [f](docs/a.md#two) [g](docs) [h](https://example.org/gone.md) `[i](gone)`\n```\n[j](gone)\n# Two\n```\n",
		"docs/a.md":         "# One_A\n[up](../README.md) [out](../gone.md)\n![plot](performance/x.svg)\n",
		"pkg/auth/check.go": "",
		"Makefile":          "\nup: ## start\n",
		"pkg/a_test.go":     "package a\n\nfunc TestP9_Host(t *testing.T) {}\n",
		"pkg/metrics.go":    `Name: "perijove_pods"`,
		"names.md":          "`make up CONTEXT=x`, `make gone`, make sure, `TestP9_`, TestP9_…, TestP9_Gone, FuzzGone, perijove_pods, perijove_pod",
	}
	for name, want := range map[string]string{
		"README.md": "docs/gone.md #gone docs/a.md#two",
		"docs/a.md": "../gone.md performance/x.svg",
	} {
		if got := strings.Join(all.deadLinks(name), " "); got != want {
			t.Errorf("%s: dead links %q, want %q", name, got, want)
		}
	}
	if got, want := strings.Join(all.missing("names.md"), " "), "gone TestP9_Gone FuzzGone perijove_pod"; got != want {
		t.Errorf("missing %q, want %q", got, want)
	}
	const text = "see pkg/auth, `pkg/auth/check.go`, pkg/edge/listener.go. ./pkg/hub/... github.com/perijove/perijove/pkg/routes\n" +
		"github.com/envoyproxy/go-control-plane/pkg/cache pkg/… authz's extauthz (see kubecluster)"
	const want = "pkg/edge/listener.go pkg/hub pkg/routes extauthz kubecluster"
	if got := strings.Join(all.formerPackages(text), " "); got != want {
		t.Errorf("former packages %q, want %q", got, want)
	}
}
