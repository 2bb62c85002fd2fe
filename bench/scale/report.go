package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

const (
	gib       = 1 << 30
	megabyte  = 1 << 20
	hundredK  = 100_000
	replicas  = 2   // of each gateway, so that either may die
	spareRoom = 1.5 // a pod's memory limit over what it holds: a push doubles some of it for a moment
)

// gatewayOf is the memory of one gateway with so many people, in bytes: its Envoy and its xds-server.
func (f figures) gatewayOf(people int) float64 {
	each := float64(f.EnvoyRSS+f.Part.RSS) / float64(f.PartPeople)
	return each * float64(people)
}

// money is what the gateways of so many people cost a month, without the cores that requests take.
func (f figures) money(people int, dollarsPerGiB float64) float64 {
	return f.gatewayOf(people) / gib * replicas * spareRoom * dollarsPerGiB
}

func (f figures) sizes() string {
	t := report.Table{Header: []string{"", "people", "serves after s", "CPU s until then", "heap MB", "RSS MB", "B per person", "CPU ms per change"}}
	add := func(name string, people int, s server) {
		t.Rows = append(t.Rows, []string{
			name, report.Count(people), report.Number(s.Ready), report.Number(s.CPU), report.Number(float64(s.Heap) / megabyte),
			report.Number(float64(s.RSS) / megabyte), report.Count(int(s.Heap) / people), report.Number(s.Change),
		})
	}
	add("xds-server with everybody", f.People, f.Whole)
	add(fmt.Sprintf("xds-server of one of %d shards", f.Shards), f.PartPeople, f.Part)
	t.Rows = append(t.Rows,
		[]string{
			"its Envoy", report.Count(f.PartPeople), report.Number(f.FirstPush), "", report.Number(float64(f.Envoy) / megabyte),
			report.Number(float64(f.EnvoyRSS) / megabyte), report.Count(int(f.Envoy) / f.PartPeople), "",
		},
		[]string{"kube-apiserver", report.Count(f.People), "", "", "", report.Number(float64(f.API) / megabyte), "", ""},
		[]string{"etcd", report.Count(f.People), "", "", "", report.Number(float64(f.Etcd) / megabyte), "", ""},
	)
	return t.Markdown()
}

func (f figures) requests() string {
	t := report.Table{Header: []string{"", "requests/s", "CPU µs of the front", "of the gateway"}}
	micros := func(d time.Duration) string { return report.Number(float64(d) / float64(time.Microsecond)) }
	t.Rows = [][]string{
		{"gateway alone", report.Number(f.Alone), "", ""},
		{"front and gateway, one worker each", report.Number(f.Fronted), micros(f.FrontCPU), micros(f.GatewayCPU)},
	}
	return t.Markdown()
}

func (b *bench) publish() error {
	f := b.seen
	sizes := f.sizes() + fmt.Sprintf("\nThe first push to an empty Envoy is %s MB. A pod that becomes ready among all %s is reached through its gateway after "+
		"%s ms (p50; p99 %s ms), %s ms (%s ms) of which is the API server's answer.\n", report.Number(float64(f.PushBytes)/megabyte), report.Count(f.People),
		report.Number(f.Reached.P50), report.Number(f.Reached.P99), report.Number(f.Stored.P50), report.Number(f.Stored.P99))
	requests := f.requests()
	money := fmt.Sprintf("For each 100,000 people with a running server, at $%s for a GiB of memory and $%s for a core a month: two gateways of %s GiB each "+
		"are $%s a month, and the cores that their requests take: 1,000 requests a second are %s cores, $%s.\n",
		report.Number(b.gib), report.Number(b.core), report.Number(f.gatewayOf(hundredK)*spareRoom/gib), report.Number(f.money(hundredK, b.gib)),
		report.Number(f.coresFor(1000)), report.Number(f.coresFor(1000)*b.core))
	fmt.Print(sizes, "\n", requests, "\n", money)
	if !b.doc {
		return nil
	}
	return errors.Join(
		report.JSON("scale.json", f),
		report.DocIn("scale.md", "scale", report.Machine()+sizes),
		report.DocIn("scale.md", "front", requests),
		report.DocIn("scale.md", "money", money),
	)
}

// coresFor is what so many requests a second take of front and gateway.
func (f figures) coresFor(perSecond int) float64 {
	return (f.FrontCPU + f.GatewayCPU).Seconds() * float64(perSecond)
}
