package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Reporter hears that a pod was left out, once for each new reason.
type Reporter func(namespace, pod, uid, reason string)

// Publisher turns pods into published scopes. It implements podwatch.Sink and
// routestatus.Source and is safe for concurrent use.
type Publisher struct {
	settings scopes.Settings
	shard    shard.Shard
	store    *ads.Store
	report   Reporter

	mu     sync.Mutex
	live   bool // false until Start: the set of pods is incomplete
	pods   map[podKey]claim
	users  map[string][]podKey // slices, not maps: nearly everyone has one pod
	served map[string][]target // by user: where the published routes lead to
}

type podKey struct{ namespace, name string }

// target is the pod that a server's route leads to.
type target struct {
	id  server.ID
	uid string
}

// claim is one pod's reading of itself: owner, address, fitness.
type claim struct {
	uid      string
	user     string // "" when it cannot be read
	server   server.Server
	routable bool
	reported string // the reason that was last reported
}

// New returns a Publisher of one shard that holds back until Start.
func New(store *ads.Store, report Reporter, settings scopes.Settings, part shard.Shard) *Publisher {
	return &Publisher{
		settings: settings, shard: part, store: store, report: report,
		pods: map[podKey]claim{}, users: map[string][]podKey{}, served: map[string][]target{},
	}
}

// Start publishes the platform's own pages and everything known so far, and from
// now on every change at once. Before Start nothing is served: an incomplete set
// would withdraw running servers from an Envoy that still has them.
func (p *Publisher) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = true
	if err := p.send(scopes.Hub(p.settings)); err != nil {
		return err
	}
	for user := range p.users {
		if err := p.rebuild(user); err != nil {
			return err
		}
	}
	return nil
}

// Wants reports whether a pod's owner is in the publisher's shard. A pod that names no owner is in
// each: somebody has to say so.
func (p *Publisher) Wants(pod *corev1.Pod) bool {
	id, err := podmeta.ReadID(pod)
	return err != nil || p.shard.Serves(id.User)
}

// Set takes in a pod's present state.
func (p *Publisher) Set(pod *corev1.Pod) {
	next := read(pod)
	p.mu.Lock()
	defer p.mu.Unlock()
	key := podKey{pod.Namespace, pod.Name}
	before, existed := p.pods[key]
	if next.reported == "" && next.uid == before.uid && next.user == before.user {
		next.reported = before.reported
	}
	if existed && before == next {
		return
	}
	if next.reported != "" && (next.uid != before.uid || next.reported != before.reported) {
		p.report(pod.Namespace, pod.Name, next.uid, next.reported)
	}
	p.pods[key] = next
	if existed && before.user != next.user {
		p.release(before.user, key)
	}
	if next.user == "" {
		return
	}
	if !slices.Contains(p.users[next.user], key) {
		p.users[next.user] = append(p.users[next.user], key)
	}
	p.changed(next.user)
}

// Delete takes in that a pod is gone, or carries the label no more.
func (p *Publisher) Delete(namespace, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := podKey{namespace, name}
	before, existed := p.pods[key]
	if !existed {
		return
	}
	delete(p.pods, key)
	p.release(before.user, key)
}

func (p *Publisher) release(user string, key podKey) {
	if user == "" {
		return
	}
	rest := slices.DeleteFunc(p.users[user], func(k podKey) bool { return k == key })
	p.users[user] = rest
	p.changed(user)
	if len(rest) == 0 {
		delete(p.users, user)
	}
}

func (p *Publisher) changed(user string) {
	if !p.live {
		return
	}
	if err := p.rebuild(user); err != nil {
		// Only a resource that cannot be marshalled gets here: that user's route stays as it was.
		p.report("", "", "", err.Error())
	}
}

// rebuild publishes one user's scopes. Caller holds mu.
func (p *Publisher) rebuild(user string) error {
	var servers []server.Server
	for _, key := range p.users[user] {
		if c := p.pods[key]; c.routable {
			servers = append(servers, c.server)
		}
	}
	all, served, skipped := scopes.ForUser(p.settings, user, servers)
	for _, s := range skipped {
		p.note(podKey{s.Server.Namespace, s.Server.Pod}, s.Reason)
	}
	delete(p.served, user)
	for _, s := range served {
		p.served[user] = append(p.served[user], target{s.ID, s.UID})
		p.note(podKey{s.Namespace, s.Pod}, "")
	}
	return p.send(slices.DeleteFunc(all, func(s scopes.Scope) bool { return !p.shard.Has(s.Name) }))
}

// note records why a pod is left out ("" = it is served) and reports a new reason.
func (p *Publisher) note(key podKey, reason string) {
	c := p.pods[key]
	if c.reported == reason {
		return
	}
	c.reported = reason
	p.pods[key] = c
	if reason != "" {
		p.report(key.namespace, key.name, c.uid, reason)
	}
}

func (p *Publisher) send(scopes []scopes.Scope) error {
	resources := make([]ads.Resource, len(scopes))
	for i, s := range scopes {
		resources[i].Name = s.Name
		if s.Route != nil { // a nil *ScopedRouteConfiguration is no nil proto.Message
			resources[i].Message = s.Route
		}
	}
	if err := p.store.Update(resourcev3.ScopedRouteType, resources); err != nil {
		return fmt.Errorf("publish routes: %w", err)
	}
	return nil
}

// read turns a pod into its claim; a fault becomes the claim's report.
func read(pod *corev1.Pod) claim {
	c := claim{uid: string(pod.UID)}
	server, err := podmeta.Read(pod)
	if id, idErr := podmeta.ReadID(pod); idErr == nil {
		c.user = id.User
	}
	switch {
	case err == nil:
		c.server, c.routable = server, true
	case !errors.Is(err, podmeta.ErrNotReady):
		c.reported = err.Error()
	}
	return c
}

// Counts returns the numbers of pods that are routed to and left out.
func (p *Publisher) Counts() (served, skipped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pods {
		if c.reported != "" {
			skipped++
		}
	}
	for _, servers := range p.served {
		served += len(servers)
	}
	return served, skipped
}

// Wait implements routestatus.Source.
func (p *Publisher) Wait(ctx context.Context, id server.ID, podUID string) routestatus.Status {
	for {
		status, changed := p.status(id, podUID)
		if status.Served || status.Refused != nil {
			return status
		}
		select {
		case <-ctx.Done():
			return status
		case <-changed:
		}
	}
}

// status reads the route and its ACKs under one lock with rebuild, so that an ACK or a NACK
// of the route before is never taken for one of this pod's.
func (p *Publisher) status(id server.ID, podUID string) (routestatus.Status, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.store.Changed()
	status := routestatus.Status{Envoys: len(p.store.Envoys())}
	if !p.shard.Serves(id.User) {
		// Other gateways have that route. These Envoys do not count, for there must be one that has it.
		return routestatus.Status{Served: true}, changed
	}
	if podUID == "" || !slices.Contains(p.served[id.User], target{id, podUID}) {
		return status, changed
	}
	for _, key := range server.Spellings(id.User) {
		if !p.shard.Has(key) {
			continue
		}
		envoys, acked := p.store.Acked(resourcev3.ScopedRouteType, key)
		if refusal, ok := p.store.Refused(resourcev3.ScopedRouteType, key); ok {
			status.Refused = &routestatus.Refusal{Version: refusal.Version, Reason: refusal.Reason}
			return status, changed
		}
		if acked < envoys {
			return status, changed
		}
	}
	status.Served = true
	return status, changed
}
