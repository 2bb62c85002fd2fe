package main

import (
	"fmt"
	"iter"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/arrival"
	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/wrk"
	"github.com/perijove/perijove/pkg/gateway/shard"
)

const namespace = "people"

// bench is the Kubernetes API with everybody's pod in it, and what was measured.
type bench struct {
	options
	rig      *rig.Rig
	kube     *rig.Kube
	upstream *rig.Upstream
	seen     figures
}

// figures are what docs/scale.md shows. Memory is in bytes, times in seconds, changes in milliseconds.
type figures struct {
	People, Shards int
	// The API server and etcd with everybody's pod, when an xds-server has read all.
	API, Etcd int64
	// One xds-server with everybody and no Envoy.
	Whole server
	// One with a part, its Envoy, and how many people that is.
	Part       server
	PartPeople int
	Envoy      int64 // handed out by its allocator
	EnvoyRSS   int64
	FirstPush  float64 // until an empty Envoy has all routes
	PushBytes  int64
	// A pod is ready: time until it is reached through its gateway, and until the API has stored it.
	Reached, Stored spread
	// Requests a second to one gateway, without and with the front, by one worker each.
	Alone, Fronted float64
	FrontCPU       time.Duration // of the front for one request
	GatewayCPU     time.Duration // of the gateway
}

type server struct {
	Ready  float64 // from its start until it serves
	CPU    float64 // until then
	Heap   int64
	RSS    int64
	Change float64 // CPU for a pod that changes
}

type spread struct{ P50, P99 float64 }

func prepare(r *rig.Rig, o options) (*bench, error) {
	b := &bench{options: o, rig: r, seen: figures{People: o.people, Shards: o.shards}}
	begin := time.Now()
	r.KubeMemory = "9GiB" // a million pods would take 14 of a machine's 24, half of it garbage
	var err error
	if b.kube, err = r.StartKube(everybody(o.people)); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%d pods are in the API after %s\n", o.people, time.Since(begin).Round(time.Second))
	if err := b.kube.Namespace(namespace); err != nil {
		return nil, err
	}
	if b.upstream, err = r.StartUpstream(); err != nil {
		return nil, err
	}
	_, err = r.Authz(b.kube, namespace, true)
	return b, err
}

// everybody makes one pod after the other: a million at once take 4 GB.
func everybody(people int) iter.Seq[*corev1.Pod] {
	return func(yield func(*corev1.Pod) bool) {
		for i := range people {
			if !yield(rig.Pod(namespace, i)) {
				return
			}
		}
	}
}

// whole measures one xds-server with everybody.
func (b *bench) whole() error {
	begin := time.Now()
	g, err := b.rig.WholeXDS(b.kube, namespace)
	if err != nil {
		return err
	}
	defer g.XDS.Kill()
	if b.seen.Whole, err = b.measure(g, time.Since(begin), 0); err != nil {
		return err
	}
	b.seen.API, b.seen.Etcd = b.kube.Memory()
	return nil
}

// measure is what is known of an xds-server that has just become ready. Pods from first on change.
func (b *bench) measure(g *rig.Gateway, ready time.Duration, first int) (server, error) {
	out := server{Ready: ready.Seconds(), CPU: g.XDS.CPU().Seconds(), RSS: g.XDS.Memory()}
	var err error
	if out.Heap, err = g.XDS.Heap(); err != nil {
		return out, err
	}
	before := g.XDS.CPU()
	const changes = 500
	for i := range changes {
		if err := arrival.SetReady(b.kube, namespace, first+i/2, i%2 == 1); err != nil {
			return out, err
		}
	}
	// The last change has been read when a second has gone by without work.
	for last := time.Duration(-1); last != g.XDS.CPU(); time.Sleep(time.Second) {
		last = g.XDS.CPU()
	}
	out.Change = (g.XDS.CPU() - before).Seconds() * 1000 / changes
	return out, nil
}

// part measures the first of the gateways, and the front before it.
func (b *bench) part() error {
	begin := time.Now()
	g, err := b.rig.Shard(b.kube, namespace, shard.Shard{Of: b.shards})
	if err != nil {
		return err
	}
	defer g.Stop()
	both := time.Since(begin)
	if err := b.gateway(g, both); err != nil {
		return err
	}
	if err := b.reach(g); err != nil {
		return err
	}
	return b.front(g)
}

func (b *bench) gateway(g *rig.Gateway, both time.Duration) (err error) {
	b.seen.PushBytes = g.Tap.Down.Load()
	b.seen.PartPeople = len(b.mine(b.people))
	if b.seen.Envoy, err = g.Envoy.Allocated(); err != nil {
		return err
	}
	b.seen.EnvoyRSS = g.Envoy.Memory()
	g.Envoy.Kill()
	begin := time.Now()
	if err := b.rig.StartGatewayEnvoy(g); err != nil {
		return err
	}
	b.seen.FirstPush = time.Since(begin).Seconds()
	b.seen.Part, err = b.measure(g, both-time.Since(begin), b.mine(1)[0])
	return err
}

// mine returns the first people of the first shard: at most n of them.
func (b *bench) mine(n int) []int {
	var out []int
	for i := 0; i < b.people && len(out) < n; i++ {
		if shard.Of(rig.User(i), b.shards) == 0 {
			out = append(out, i)
		}
	}
	return out
}

// reach lets people of the first shard join.
func (b *bench) reach(g *rig.Gateway) error {
	var reached, stored []float64
	for i := b.people; len(reached) < b.samples; i++ {
		if shard.Of(rig.User(i), b.shards) != 0 {
			continue
		}
		cookies, err := b.rig.Passes(i, 1)
		if err != nil {
			return err
		}
		all, api, err := arrival.Join(b.kube, g.Envoy.Addr, namespace, i, cookies[0])
		if err != nil {
			return err
		}
		reached, stored = append(reached, all.Seconds()*1000), append(stored, api.Seconds()*1000)
	}
	b.seen.Reached, b.seen.Stored = spreadOf(reached), spreadOf(stored)
	return nil
}

func spreadOf(ms []float64) spread {
	return spread{P50: report.Quantile(ms, 0.5), P99: report.Quantile(ms, 0.99)}
}

// front sends the same requests to the gateway and to the front, in turn.
func (b *bench) front(g *rig.Gateway) error {
	front, err := b.rig.StartFront(g, b.shards)
	if err != nil {
		return err
	}
	defer front.Kill()
	b.kube.Pause()
	defer b.kube.Resume()
	var alone, fronted []float64
	var requests int64
	var frontCPU, gatewayCPU time.Duration
	for range b.rounds {
		load, err := b.load()
		if err != nil {
			return err
		}
		direct, err := load.Run(g.Envoy.Addr, connections, b.duration)
		if err != nil {
			return err
		}
		cpu, own := front.CPU(), g.Envoy.CPU()
		through, err := load.Run(front.Addr, connections, b.duration)
		if err != nil {
			return err
		}
		if n := direct.Errors + through.Errors; n > 0 {
			return fmt.Errorf("%d requests failed", n)
		}
		frontCPU, gatewayCPU, requests = frontCPU+front.CPU()-cpu, gatewayCPU+g.Envoy.CPU()-own, requests+through.Requests
		alone, fronted = append(alone, direct.PerSecond()), append(fronted, through.PerSecond())
	}
	b.seen.Alone, b.seen.Fronted = report.Median(alone), report.Median(fronted)
	b.seen.FrontCPU, b.seen.GatewayCPU = frontCPU/time.Duration(requests), gatewayCPU/time.Duration(requests)
	return nil
}

const connections = 50

// load is requests of people of the first shard.
func (b *bench) load() (*wrk.Load, error) {
	var requests []wrk.Request
	for _, i := range b.mine(200) {
		cookies, err := b.rig.Passes(i, 1)
		if err != nil {
			return nil, err
		}
		requests = append(requests, wrk.Request{Path: rig.Path(i), Cookie: cookies[0]})
	}
	return wrk.Prepare(b.rig.Dir, "scale", rig.Host, requests)
}
