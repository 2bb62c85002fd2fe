package main

import (
	"errors"
	"fmt"

	"github.com/perijove/perijove/bench/internal/report"
)

const megabyte = 1 << 20

func propagationTable(rows []row) string {
	t := report.Table{Header: []string{"users", "ours p50 ms", "p99 ms", "most ms", "of it the API server p50", "50 changes/s more: p50 ms", "p99 ms", "CHP REST p50 ms", "p99 ms"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			report.Count(r.Users), report.Number(r.Idle.P50), report.Number(r.Idle.P99), report.Number(r.Idle.Most), report.Number(r.Stored.P50),
			report.Number(r.Busy.P50), report.Number(r.Busy.P99), report.Number(r.CHP.P50), report.Number(r.CHP.P99),
		})
	}
	return t.Markdown()
}

func costTable(rows []row, base row) string {
	t := report.Table{Header: []string{"users", "bytes down per change", "up", "xds-server CPU ms per change", "Envoy CPU ms", "xds-server heap MB", "B per user", "RSS MB", "Envoy allocated MB", "B per user", "RSS MB"}}
	for _, r := range rows {
		each := func(now, then int64) string {
			if r.Users == base.Users {
				return ""
			}
			return report.Count(int(now-then) / (r.Users - base.Users))
		}
		t.Rows = append(t.Rows, []string{
			report.Count(r.Users), report.Count(int(r.BytesDown)), report.Count(int(r.BytesUp)), report.Number(r.XDSCPU), report.Number(r.EnvoyCPU),
			report.Number(float64(r.XDSHeap) / megabyte), each(r.XDSHeap, base.XDSHeap), report.Number(float64(r.XDSMemory) / megabyte),
			report.Number(float64(r.Envoy) / megabyte), each(r.Envoy, base.Envoy), report.Number(float64(r.EnvoyRSS) / megabyte),
		})
	}
	return t.Markdown()
}

func restartTable(rows []row) string {
	t := report.Table{Header: []string{"users", "xds-server serves after s", "empty Envoy has all routes after s", "first push MB", "reconnect: MB up", "down"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			report.Count(r.Users), report.Number(r.XDSReady), report.Number(r.FirstPush), report.Number(float64(r.FirstPushBytes) / megabyte),
			report.Number(float64(r.ReconnectUp) / megabyte), report.Number(float64(r.ReconnectDown) / megabyte),
		})
	}
	return t.Markdown()
}

func publish(o options, rows []row) error {
	propagation, cost, restart := propagationTable(rows), costTable(rows, rows[0]), restartTable(rows)
	fmt.Print(propagation, "\n", cost, "\n", restart)
	if !o.doc {
		return nil
	}
	note := fmt.Sprintf("%d pods each, one after the other.\n\n", o.samples)
	return errors.Join(
		report.JSON("routes.json", rows),
		report.Doc("propagation", report.Machine()+note+propagation),
		report.Doc("cost", cost),
		report.Doc("restart", restart),
		plotPropagation(rows),
		plotMemory(rows),
	)
}

func plotPropagation(rows []row) error {
	var x []float64
	values := map[string][]float64{}
	for _, r := range rows {
		x = append(x, float64(r.Users))
		for name, v := range map[string]float64{
			"idle50": r.Idle.P50, "idle99": r.Idle.P99, "busy50": r.Busy.P50, "busy99": r.Busy.P99, "chp50": r.CHP.P50, "chp99": r.CHP.P99,
		} {
			values[name] = append(values[name], v)
		}
	}
	lines := []report.Line{
		{Name: "ours, p50", X: x, Y: values["idle50"]}, {Name: "ours, p99", X: x, Y: values["idle99"], Dashed: true},
		{Name: "ours under 50 changes/s, p50", X: x, Y: values["busy50"]}, {Name: "ours under 50 changes/s, p99", X: x, Y: values["busy99"], Dashed: true},
		{Name: "CHP's REST call, p50", X: x, Y: values["chp50"]}, {Name: "CHP's REST call, p99", X: x, Y: values["chp99"], Dashed: true},
	}
	return report.Lines("propagation.svg", "A pod is ready: time until it is reached", "users", "ms", lines)
}

func plotMemory(rows []row) error {
	var x, heap, envoy []float64
	for _, r := range rows {
		x = append(x, float64(r.Users))
		heap, envoy = append(heap, float64(r.XDSHeap)/megabyte), append(envoy, float64(r.Envoy)/megabyte)
	}
	return report.Lines("memory.svg", "Memory", "users", "MB", []report.Line{
		{Name: "xds-server, heap", X: x, Y: heap}, {Name: "Envoy, allocated", X: x, Y: envoy, Dashed: true},
	})
}

// mostBytes is what one user's change may send to an Envoy.
const mostBytes = 1024

func check(rows []row) error {
	fmt.Print(propagationTable(rows), "\n", costTable(rows, rows[0]))
	var faults []error
	for _, r := range rows {
		if r.BytesDown > mostBytes {
			faults = append(faults, fmt.Errorf("%d users: one change sends %.0f bytes to an Envoy, may send %d", r.Users, r.BytesDown, mostBytes))
		}
	}
	first, last := rows[0], rows[len(rows)-1]
	if last.BytesDown > 1.05*first.BytesDown {
		faults = append(faults, fmt.Errorf("a change sends %.0f bytes at %d users and %.0f at %d: it must not depend on them", first.BytesDown, first.Users, last.BytesDown, last.Users))
	}
	if last.XDSCPU > 3*first.XDSCPU {
		faults = append(faults, fmt.Errorf("a change costs the xds-server %.2f ms at %d users and %.2f ms at %d: it must not depend on them", first.XDSCPU, first.Users, last.XDSCPU, last.Users))
	}
	return errors.Join(faults...)
}
