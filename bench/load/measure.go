package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/h2load"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/wrk"
	"github.com/perijove/perijove/bench/internal/ws"
)

// workload is one kind of traffic.
type workload struct {
	name  string
	h2    bool
	ws    bool
	small bool
	run   func(s *env, t *target, requests []wrk.Request, d time.Duration) (sample, error)
}

// sample is what one round saw.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the proxy, for one request
	errors    int64
}

const (
	small   = "small reply, HTTP/1.1"
	smallH2 = "small reply, HTTP/2"
)

func workloads() []workload {
	return []workload{
		{name: small, small: true, run: http1("", 1)},
		{name: smallH2, small: true, h2: true, run: http2("")},
		{name: "1 MB reply, HTTP/1.1", run: http1("/big", 5)},
		{name: "1 MB reply, HTTP/2", h2: true, run: http2("/big")},
		{name: "websocket echo, HTTP/1.1", ws: true, run: websockets(false)},
		{name: "websocket echo, HTTP/2", h2: true, ws: true, run: websockets(true)},
	}
}

func (s *env) measures(w workload, t *target) bool {
	switch {
	case s.quick || s.check:
		return w.name == small
	case t.scale && !w.small, w.h2 && !t.h2, w.h2 && w.ws && !t.h2ws:
		return false
	}
	return true
}

// rounds measures everything once, then everything again: what else the machine does
// hits all targets alike.
func (s *env) rounds() error {
	for round := range s.options.rounds {
		var err error
		if s.cookies, err = s.rig.Passes(0, s.active); err != nil { // anew: a pass must not age during the run
			return err
		}
		for _, w := range workloads() {
			if err := s.round(w); err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, w.name, err)
			}
		}
	}
	return nil
}

func (s *env) round(w workload) error {
	line := ""
	for _, t := range s.targets {
		if !s.measures(w, t) {
			continue
		}
		got, err := s.measure(w, t)
		if err != nil {
			return fmt.Errorf("%s, %d users: %w", t.name, t.users, err)
		}
		t.seen[w.name] = append(t.seen[w.name], got)
		line += fmt.Sprintf("  %.0f", got.perSecond)
	}
	if line != "" {
		fmt.Fprintf(os.Stderr, "%s:%s\n", w.name, line)
	}
	return nil
}

// measure does one round of one target. Replies that the upstream did not make are
// errors: a refusal or a redirect is cheap and would look like a fast proxy.
func (s *env) measure(w workload, t *target) (sample, error) {
	requests := make([]wrk.Request, t.active)
	for i := range requests {
		requests[i] = wrk.Request{Path: rig.Path(i), Cookie: s.cookies[i]}
	}
	if _, err := w.run(s, t, requests, time.Second); err != nil { // connections and caches
		return sample{}, err
	}
	cpu := t.proc.CPU()
	got, err := w.run(s, t, requests, s.duration)
	if err != nil {
		return sample{}, err
	}
	got.cpu = time.Duration(float64(t.proc.CPU()-cpu) / (got.perSecond * s.duration.Seconds()))
	return got, nil
}

func http1(suffix string, divisor int) func(*env, *target, []wrk.Request, time.Duration) (sample, error) {
	return func(s *env, t *target, requests []wrk.Request, d time.Duration) (sample, error) {
		load, err := wrk.Prepare(s.rig.Dir, "http1", rig.Host, add(requests, suffix))
		if err != nil {
			return sample{}, err
		}
		before, err := s.upstream.Count()
		if err != nil {
			return sample{}, err
		}
		result, err := load.Run(t.addr, s.connections/divisor, d)
		if err != nil {
			return sample{}, err
		}
		after, err := s.upstream.Count()
		if err != nil {
			return sample{}, err
		}
		return sample{
			perSecond: result.PerSecond(), p50: micros(result.P50), p99: micros(result.P99),
			errors: result.Errors + max(0, result.Requests-(after-before)),
		}, nil
	}
}

func micros(n float64) time.Duration { return time.Duration(n * float64(time.Microsecond)) }

func add(requests []wrk.Request, suffix string) []wrk.Request {
	out := slices.Clone(requests)
	for i := range out {
		out[i].Path += suffix
	}
	return out
}

// http2 uses one connection a user, as browsers do.
func http2(suffix string) func(*env, *target, []wrk.Request, time.Duration) (sample, error) {
	const users = 10
	return func(s *env, t *target, requests []wrk.Request, d time.Duration) (sample, error) {
		var loads []h2load.Load
		for i := range users {
			r := requests[i*len(requests)/users]
			loads = append(loads, h2load.Load{Path: r.Path + suffix, Cookie: r.Cookie})
		}
		streams := s.connections / users
		if suffix != "" {
			streams = 1
		}
		result, err := h2load.Run(s.rig.Dir, t.addr, rig.Host, loads, streams, d)
		if err != nil {
			return sample{}, err
		}
		return sample{perSecond: result.PerSecond, p50: result.P50, p99: result.P99, errors: result.Errors}, nil
	}
}

func websockets(h2 bool) func(*env, *target, []wrk.Request, time.Duration) (sample, error) {
	return func(s *env, t *target, requests []wrk.Request, d time.Duration) (sample, error) {
		var loads []ws.Load
		for i := range s.connections {
			r := requests[i%len(requests)]
			loads = append(loads, ws.Load{Path: strings.TrimSuffix(r.Path, "/api") + "/echo", Cookie: r.Cookie})
		}
		result, err := ws.Run(t.addr, rig.Host, loads, h2, d)
		if err != nil {
			return sample{}, err
		}
		return sample{perSecond: result.PerSecond, p50: result.P50, p99: result.P99}, nil
	}
}
