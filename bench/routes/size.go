package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/arrival"
	"github.com/perijove/perijove/bench/internal/rig"
)

// bench is everything that is there for all sizes.
type bench struct {
	options
	rig     *rig.Rig
	kube    *rig.Kube
	cookies []string // of the users who join, by sample
}

// row is what is known of one size.
type row struct {
	Users int `json:"users"`
	// Ready to first answer, milliseconds.
	Idle             spread  `json:"idle"`
	Stored           spread  `json:"stored"` // the API server's part of it
	Busy             spread  `json:"busy"`   // under 50 other changes a second
	CHP              spread  `json:"chp"`
	ChangesPerSecond float64 `json:"changesPerSecond"` // of the busy part
	// Bytes of one change, to one Envoy and back (its acknowledgement).
	BytesDown float64 `json:"bytesDown"`
	BytesUp   float64 `json:"bytesUp"`
	// CPU milliseconds per change.
	XDSCPU   float64 `json:"xdsCPU"`
	EnvoyCPU float64 `json:"envoyCPU"`
	// Memory in bytes.
	XDSHeap   int64 `json:"xdsHeap"`
	XDSMemory int64 `json:"xdsMemory"`
	Envoy     int64 `json:"envoy"` // handed out by its allocator
	EnvoyRSS  int64 `json:"envoyRSS"`
	// Restart: seconds from its start until the xds-server serves, until an empty Envoy
	// has all routes; bytes of the first push and of a reconnect.
	XDSReady       float64 `json:"xdsReady"`
	FirstPush      float64 `json:"firstPush"`
	FirstPushBytes int64   `json:"firstPushBytes"`
	ReconnectUp    int64   `json:"reconnectUp"`
	ReconnectDown  int64   `json:"reconnectDown"`
}

func namespace(n int) string { return fmt.Sprintf("users-%d", n) }

func prepare(r *rig.Rig, o options) (*bench, error) {
	var pods []*corev1.Pod
	for _, n := range o.sizes {
		pods = append(pods, rig.Pods(namespace(n), n)...)
	}
	b := &bench{options: o, rig: r}
	var err error
	if b.kube, err = r.StartKube(slices.Values(pods)); err != nil {
		return nil, err
	}
	for _, n := range o.sizes {
		if err := b.kube.Namespace(namespace(n)); err != nil {
			return nil, err
		}
	}
	if _, err := r.StartUpstream(); err != nil {
		return nil, err
	}
	if _, err := r.Authz(b.kube, namespace(o.sizes[0]), true); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bench) size(n int) (row, error) {
	out := row{Users: n}
	g, err := b.rig.Gateway(b.kube, namespace(n), true)
	if err != nil {
		return out, err
	}
	defer g.Stop()
	if err := b.measureMemory(g, &out); err != nil {
		return out, err
	}
	if err := b.measurePropagation(g, &out); err != nil {
		return out, err
	}
	if b.chp {
		if err := b.measureCHP(&out); err != nil {
			return out, err
		}
	}
	return out, b.measureRestart(g, &out)
}

// measureMemory comes before any change.
func (b *bench) measureMemory(g *rig.Gateway, out *row) (err error) {
	if err := settle(g.Tap); err != nil {
		return err
	}
	if out.XDSHeap, err = g.XDS.Heap(); err != nil {
		return err
	}
	if out.Envoy, err = g.Envoy.Allocated(); err != nil {
		return err
	}
	out.XDSMemory, out.EnvoyRSS = g.XDS.Memory(), g.Envoy.Memory()
	if b.profiles == "" {
		return nil
	}
	return g.XDS.SaveProfile("heap", filepath.Join(b.profiles, fmt.Sprintf("xds-server-%d.heap", out.Users)))
}

// measureRestart replaces first the xds-server and then the Envoy.
func (b *bench) measureRestart(g *rig.Gateway, out *row) error {
	g.XDS.Kill()
	up, down := g.Tap.Up.Load(), g.Tap.Down.Load()
	begin := time.Now()
	if err := b.rig.StartXDS(b.kube, g); err != nil {
		return err
	}
	out.XDSReady = time.Since(begin).Seconds()
	if err := await("Envoy comes back", func() bool { return g.Tap.Up.Load() > up }); err != nil {
		return err
	}
	if err := settle(g.Tap); err != nil {
		return err
	}
	out.ReconnectUp, out.ReconnectDown = g.Tap.Up.Load()-up, g.Tap.Down.Load()-down

	g.Envoy.Kill()
	down = g.Tap.Down.Load()
	begin = time.Now()
	if err := b.rig.StartGatewayEnvoy(g); err != nil {
		return err
	}
	out.FirstPush = time.Since(begin).Seconds()
	out.FirstPushBytes = g.Tap.Down.Load() - down
	return nil
}

// measureCHP adds routes by REST, beside as many as there are users.
func (b *bench) measureCHP(out *row) error {
	chp, err := b.rig.StartCHP(out.Users)
	if err != nil {
		return err
	}
	defer chp.Kill()
	var times []time.Duration
	for i := out.Users; i < out.Users+b.samples; i++ {
		answered := make(chan arrival.Answer, 1)
		begin := time.Now()
		go func() { answered <- arrival.Ask(chp.Addr, rig.Path(i), "", http.StatusNotFound) }()
		if err := chp.Add(i); err != nil {
			return err
		}
		a := <-answered
		if a.Err != nil {
			return fmt.Errorf("configurable-http-proxy: %w", a.Err)
		}
		times = append(times, a.At.Sub(begin))
	}
	out.CHP = spreadOf(times)
	return nil
}
