// Command logins measures many people who log in together: through a real Envoy and authz,
// with a real OpenLDAP and a real kube-apiserver. It counts every answer that is not a
// login, and every session that the platform did not record.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
)

const namespace = "logins"

// crowd is a number of people who come within a time, all from one address.
type crowd struct {
	name   string
	people int
	within time.Duration // 0: all at once
	known  bool          // they were here before
}

func crowds() []crowd {
	return []crowd{
		{name: "first login, over 10 s", people: 500, within: 10 * time.Second},
		{name: "known, over 10 s", people: 500, within: 10 * time.Second, known: true},
		{name: "first login, at once", people: 300},
		{name: "known, at once", people: 300, known: true},
		{name: "first login, within 1 s", people: 130, within: time.Second},
	}
}

func main() {
	rig.Child()
	check := flag.Bool("check", false, "exit 1 when anybody is refused or a session is not recorded")
	doc := flag.Bool("doc", false, "write docs/performance.md")
	profile := flag.String("profile", "", "`file` for a profile of authz's processor time")
	flag.Parse()
	os.Exit(rig.Main("logins", func(r *rig.Rig) error { return run(r, *check, *doc, *profile) }))
}

func run(r *rig.Rig, check, doc bool, profile string) error {
	p, err := build(r)
	if err != nil {
		return err
	}
	if profile != "" {
		go func() { _ = p.authz.SaveProfile("profile?seconds=20", profile) }()
	}
	var all []outcome
	first, last := 0, 0 // the people of the crowd before, whom "known" means
	for _, c := range crowds() {
		if !c.known {
			first, last = last, last+c.people
			if err := p.directory.AddPeople(first, c.people); err != nil {
				return err
			}
		}
		o := p.arrive(c, first)
		if o.recorded, err = p.recorded(first, c.people, o.began); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d of %d in\n", c.name, o.in, c.people)
		all = append(all, o)
	}
	text := table(all)
	fmt.Print(text)
	if doc {
		return report.Doc("logins", report.Machine()+"\n"+text)
	}
	if check {
		return verdict(all)
	}
	return nil
}

func table(all []outcome) string {
	t := report.Table{Header: []string{"people", "", "in", "refused", "5xx", "sessions recorded", "p50 ms", "p99 ms", "most ms"}}
	for _, o := range all {
		t.Rows = append(t.Rows, []string{
			report.Count(o.people), o.name, report.Count(o.in), report.Count(o.refused), report.Count(o.failed), report.Count(o.recorded),
			report.Number(o.percentile(0.5)), report.Number(o.percentile(0.99)), report.Number(o.percentile(1)),
		})
	}
	return t.Markdown()
}

// verdict is an error that names every crowd of which somebody was turned away.
func verdict(all []outcome) error {
	var faults []string
	for _, o := range all {
		if o.in != o.people || o.recorded != o.people {
			faults = append(faults, fmt.Sprintf("%s: %d people, %d in, %d refused, %d answers 5xx, %d sessions recorded; first fault: %s",
				o.name, o.people, o.in, o.refused, o.failed, o.recorded, o.fault))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("not everybody got in:\n  %s", strings.Join(faults, "\n  "))
	}
	return nil
}
