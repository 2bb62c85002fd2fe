package main

import (
	"errors"
	"fmt"

	"github.com/perijove/perijove/bench/internal/report"
)

// realTable is one row for each number of users.
func realTable(r *realNodes) string {
	t := report.Table{Header: []string{"users"}}
	for _, what := range []string{"servers", "CPU %", "memory %"} {
		for i := range r.nodes {
			t.Header = append(t.Header, fmt.Sprintf("%s, node %d", what, i+1))
		}
	}
	for _, s := range r.steps {
		row := []string{report.Count(s.Users)}
		for _, of := range []func(usage) string{
			func(u usage) string { return report.Count(u.Servers) },
			func(u usage) string { return percent(u.CPU) },
			func(u usage) string { return percent(u.Memory) },
		} {
			for _, u := range s.Nodes {
				row = append(row, of(u))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Markdown()
}

// publishReal writes what was measured.
func publishReal(o options, r *realNodes) error {
	text := realTable(r)
	fmt.Print(text)
	if !o.doc {
		return nil
	}
	if len(r.nodes) < 2 { //nolint:mnd // nothing can be balanced
		return errors.New("the cluster has one node: make up NODES=2")
	}
	var lines []report.Line
	for i := range r.nodes {
		cpu, memory := report.Line{Name: fmt.Sprintf("CPU, node %d", i+1)}, report.Line{Name: fmt.Sprintf("memory, node %d", i+1)}
		for _, s := range r.steps {
			add(&cpu, s.Users, s.Nodes[i].CPU)
			add(&memory, s.Users, s.Nodes[i].Memory)
		}
		lines = append(lines, cpu, memory)
	}
	note := fmt.Sprintf("%d nodes; servers' scheduler is %s. Each user's work takes %v cores and %d MB.\n\n", len(r.nodes), r.scheduler, workCPU, workMemory)
	return errors.Join(
		report.Doc("balance-real", report.Machine()+note+text+"\n![Servers at work on two nodes](performance/balance-real.svg)\n"),
		report.Steps("balance-real.svg", "Real nodes, users at work: used by containers", "users", "% of the node", lines),
	)
}
