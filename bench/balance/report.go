package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/shares"
)

// percent shows a share.
func percent(x float64) string { return fmt.Sprintf("%.1f", 100*x) }

// between shows a share of the emptiest and of the fullest node.
func between(least, most float64) string { return percent(least) + " to " + percent(most) }

// growthTable is one row for each cluster that was filled, with a heading for each crowd.
func growthTable(all []growth) string {
	t := report.Table{Header: []string{
		"", "nodes", "users until full", "most apart at any step: pods", "CPU %", "memory %", "when full: CPU % of nodes", "memory % of nodes", "servers a second", "come at once",
	}}
	heading := ""
	for _, g := range all {
		if g.Crowd != heading {
			heading = g.Crowd
			t.Rows = append(t.Rows, []string{"**" + heading + "**"})
		}
		full := g.Steps[len(g.Steps)-1].Range
		t.Rows = append(t.Rows, []string{
			g.Strategy, report.Count(g.Nodes), report.Count(g.Fit), report.Count(g.Most.Pods), percent(g.Most.Share.CPU), percent(g.Most.Share.Memory),
			between(full.Least.CPU, full.Most.CPU), between(full.Least.Memory, full.Most.Memory), report.Number(g.rate()), report.Count(g.AtOnce),
		})
	}
	return t.Markdown()
}

// incidentTable is one row for each incident and strategy.
func incidentTable(all []outcome) string {
	t := report.Table{Header: []string{"", "users then", "pods apart then", "users until at most 1 apart", "to the node before it is known", "after", "users until full"}}
	heading := ""
	for _, o := range all {
		if o.What != heading {
			heading = o.What
			t.Rows = append(t.Rows, []string{"**" + heading + "**"})
		}
		until := report.Count(o.Even)
		if o.Even < 0 {
			until = "never"
		}
		t.Rows = append(t.Rows, []string{o.Strategy, report.Count(o.At), report.Count(o.Then.Pods), until, report.Count(o.Meanwhile), report.Count(o.After), report.Count(o.Fit)})
	}
	return t.Markdown()
}

// refusalTable is what is said when there is no node for a server.
func refusalTable(all []refusal) string {
	rows := [][]string{{"", "users before", "kube-scheduler says", "the progress page says"}}
	for _, f := range all {
		rows = append(rows, []string{f.what, report.Count(f.Fit), "`" + shortened(f.Why) + "`", f.Page})
	}
	return leftTable(rows)
}

// shortened leaves out what the scheduler says of servers that could give way.
func shortened(why string) string {
	before, _, _ := strings.Cut(why, " preemption: ")
	return before
}

// leftTable is a table of texts: they stand left, and have the width that they need.
func leftTable(rows [][]string) string {
	var out strings.Builder
	for i, row := range rows {
		out.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			out.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return out.String()
}

// strandedText is what users are told whose servers were given a node that was away already.
func strandedText(all []outcome) string {
	for _, o := range all {
		if len(o.Stranded) > 0 {
			return fmt.Sprintf("A user whose server was given the node before Kubernetes knew that it was away reads “%s”, and after two minutes “%s”\n",
				o.Stranded[0], o.Stranded[1])
		}
	}
	return ""
}

// ofNodes draws each node's shares over the users.
func ofNodes(file, title string, g growth) error {
	lines := make([]report.Line, 0, 2*few)
	for i := range g.Nodes {
		cpu, memory := report.Line{Name: "CPU, " + nodeName(i)}, report.Line{Name: "memory, " + nodeName(i)}
		for _, s := range g.Steps {
			add(&cpu, s.Users, s.Each[i].CPU)
			add(&memory, s.Users, s.Each[i].Memory)
		}
		lines = append(lines, cpu, memory)
	}
	return report.Steps(file, title, "users", "% of the node", lines)
}

// ofRange draws the emptiest and the fullest node's shares over the users.
func ofRange(file, title string, g growth) error {
	lines := []report.Line{{Name: "CPU, emptiest node"}, {Name: "CPU, fullest node"}, {Name: "memory, emptiest node"}, {Name: "memory, fullest node"}}
	for _, s := range g.Steps {
		for i, x := range []float64{s.Range.Least.CPU, s.Range.Most.CPU, s.Range.Least.Memory, s.Range.Most.Memory} {
			add(&lines[i], s.Users, x)
		}
	}
	return report.Steps(file, title, "users", "% of the node", lines)
}

// ofStrategies draws how far the fullest node is ahead of the emptiest in memory.
func ofStrategies(file, title string, all []growth) error {
	var lines []report.Line
	for _, g := range all {
		line := report.Line{Name: g.Strategy}
		for _, s := range g.Steps {
			add(&line, s.Users, s.Range.Difference().Share.Memory)
		}
		lines = append(lines, line)
	}
	return report.Steps(file, title, "users", "% of a node's memory", lines)
}

func add(l *report.Line, users int, share float64) {
	l.X, l.Y = append(l.X, float64(users)), append(l.Y, 100*share)
}

// find is the growth of a strategy; there is one.
func find(all []growth, strategy, crowd string, nodes int) growth {
	return all[slices.IndexFunc(all, func(g growth) bool { return g.Strategy == strategy && g.Crowd == crowd && g.Nodes == nodes })]
}

// verdict is an error for each time that equal nodes were more than one pod apart with spread, or
// more than one server of the crowd apart in what they have.
func verdict(all []growth) error {
	var faults []error
	if len(all) == 0 {
		return errors.New("nothing was measured")
	}
	for _, g := range all {
		if g.Strategy != spread {
			continue
		}
		if g.Most.Pods > 1 {
			faults = append(faults, fmt.Errorf("%s, %d nodes: %d pods apart at one step, may be 1", g.Crowd, g.Nodes, g.Most.Pods))
		}
		if most := g.Largest; g.Most.Share.CPU > most.CPU+tiny || g.Most.Share.Memory > most.Memory+tiny {
			faults = append(faults, fmt.Errorf("%s, %d nodes: %s %% of CPU and %s %% of memory apart at one step; the largest server takes %s %% and %s %%", g.Crowd, g.Nodes,
				percent(g.Most.Share.CPU), percent(g.Most.Share.Memory), percent(most.CPU), percent(most.Memory)))
		}
	}
	return errors.Join(faults...)
}

func publish(o options, all findings) error {
	text := growthTable(all.growths) + "\n" + incidentTable(all.outcomes) + "\n" + strandedText(all.outcomes) + "\n" + refusalTable(all.refusals)
	fmt.Print(text)
	if !o.doc {
		return nil
	}
	equal, mixed := crowds(1)[0].name, crowds(1)[1].name
	var ten []growth
	for _, strategy := range strategies() {
		ten = append(ten, find(all.growths, strategy, mixed, 10))
	}
	return errors.Join(
		report.Doc("balance", report.Machine()+"Nodes of 16 cores and 8 GiB; a server of each user.\n\n"+text),
		ofNodes("balance-spread.svg", "Two nodes, spread: requested by users' servers", find(all.growths, spread, equal, 2)),
		ofNodes("balance-pack.svg", "Two nodes, pack: requested by users' servers", find(all.growths, pack, equal, 2)),
		ofRange("balance-100.svg", "100 nodes, spread, small and large servers in turn", find(all.growths, spread, mixed, 100)),
		ofStrategies("balance-mixed.svg", "Ten nodes, small and large servers in turn: how far nodes are apart", ten),
	)
}

// tiny is less than any server takes: sums of fractions are not exact.
const tiny = 1e-6

// largest is the larger share of two, each part for itself.
func largest(a, b shares.Share) shares.Share {
	return shares.Share{CPU: max(a.CPU, b.CPU), Memory: max(a.Memory, b.Memory)}
}
