package main

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/rig"
)

// target is one proxy with a number of routes.
type target struct {
	name   string
	users  int // that have a route
	active int // of them send requests
	addr   string
	proc   *rig.Proc
	h2     bool // speaks HTTP/2
	h2ws   bool // and websockets over it (RFC 8441)
	// scale is set where only the number of users differs from another target: measured
	// with small replies, or the run would take an hour.
	scale bool

	seen map[string][]sample // by workload, one a round
}

const (
	plainName = "plain Envoy, one route"
	// openName is ours without a judge: what authorisation costs is what ours, pass, is slower.
	openName = "ours, no auth"
	// bareName is the same where servers' answers are not confined either.
	bareName = "ours, no auth, nothing confined"
)

// env is all targets, what they lead to, and the passes.
type env struct {
	options
	rig      *rig.Rig
	kube     *rig.Kube
	upstream *rig.Upstream
	targets  []*target
	cookies  []string
}

const many = 10_000

// provenNamespace holds as many pods that prove to Envoy which pod they are.
const provenNamespace = "proven-users"

func (o options) sizes() []int {
	if o.quick || o.check {
		return []int{1, many}
	}
	return []int{1, 1000, many}
}

func namespace(n int) string { return fmt.Sprintf("users-%d", n) }

// build starts everything and then freezes the Kubernetes API: no pod changes.
func build(r *rig.Rig, o options) (*env, error) {
	s := &env{options: o, rig: r}
	var pods []*corev1.Pod
	for _, n := range o.sizes() {
		pods = append(pods, rig.Pods(namespace(n), n)...)
	}
	if !o.quick && !o.check {
		pods = append(pods, rig.Proven(rig.Pods(provenNamespace, many))...)
	}
	var err error
	if s.kube, err = r.StartKube(slices.Values(pods)); err != nil {
		return nil, err
	}
	if s.upstream, err = r.StartUpstream(); err != nil {
		return nil, err
	}
	if err := s.plain(); err != nil {
		return nil, err
	}
	if err := s.ours(); err != nil {
		return nil, err
	}
	if !o.quick {
		if err := s.peers(); err != nil {
			return nil, err
		}
	}
	s.kube.Pause()
	return s, nil
}

func (s *env) add(t target) {
	if s.only != "" && t.name != plainName && !strings.Contains(t.name, s.only) {
		return
	}
	if t.active == 0 {
		t.active = min(t.users, s.active)
	}
	t.seen = map[string][]sample{}
	s.targets = append(s.targets, &t)
}

// plain is one Envoy for each number of people at work: so many connections to so many
// pods cost every proxy the same, and are no user's route.
func (s *env) plain() error {
	for _, active := range []int{1, s.active} {
		plain, err := s.rig.StartPlainEnvoy(active)
		if err != nil {
			return err
		}
		s.add(target{name: plainName, users: many, active: active, addr: plain.Addr, proc: plain.Proc, h2: true, h2ws: true, scale: active == 1})
	}
	return nil
}

func (s *env) ours() error {
	for _, n := range s.sizes() {
		if err := s.kube.Namespace(namespace(n)); err != nil {
			return err
		}
	}
	for _, passes := range []bool{true, false} {
		if _, err := s.rig.Authz(s.kube, namespace(many), passes); err != nil {
			return err
		}
	}
	for _, n := range s.sizes() {
		g, err := s.rig.Gateway(s.kube, namespace(n), true)
		if err != nil {
			return err
		}
		if n == many {
			s.add(target{name: "ours, pass", users: n, active: 1, addr: g.Envoy.Addr, proc: g.Envoy.Proc, h2: true, h2ws: true, scale: true})
		}
		s.add(target{name: "ours, pass", users: n, addr: g.Envoy.Addr, proc: g.Envoy.Proc, h2: true, h2ws: true, scale: n != slices.Max(s.sizes())})
	}
	for _, name := range []string{openName, bareName} {
		open, err := s.rig.StartOpenEdge(many, name == openName)
		if err != nil {
			return err
		}
		s.add(target{name: name, users: many, addr: open.Addr, proc: open.Proc, h2: true, scale: true})
	}
	if s.quick || s.check {
		return nil
	}
	proven, err := s.rig.Gateway(s.kube, provenNamespace, true)
	if err != nil {
		return err
	}
	s.add(target{name: "ours, pass, pods by TLS", users: many, addr: proven.Envoy.Addr, proc: proven.Envoy.Proc, h2: true, h2ws: true})
	g, err := s.rig.Gateway(s.kube, namespace(many), false)
	if err != nil {
		return err
	}
	s.add(target{name: "ours, passTTL 0", users: many, addr: g.Envoy.Addr, proc: g.Envoy.Proc, h2: true, h2ws: true})
	return nil
}

// peers speak HTTP/1.1 and check nobody.
func (s *env) peers() error {
	chp, err := s.rig.StartCHP(many)
	if err != nil {
		return err
	}
	s.add(target{name: "configurable-http-proxy, no auth", users: many, addr: chp.Addr, proc: chp.Proc})
	if s.check {
		return nil
	}
	traefik, err := s.rig.StartTraefik(many)
	if err != nil {
		return err
	}
	if traefik == nil {
		return nil
	}
	s.add(target{name: "Traefik, no auth", users: many, addr: traefik.Addr, proc: traefik.Proc, h2: true})
	return nil
}
