package ads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
)

// stream is one Envoy's connection: the cache and the callbacks that
// go-control-plane's delta server asks, so that no stream ids need to be matched.
// Its fields are guarded by store.mu.
type stream struct {
	store *Store
	node  string
	types map[string]*typeState
	// ran is true for an Envoy that named resources when it connected: it ran before this stream.
	ran bool
}

var (
	_ cachev3.ConfigWatcher = (*stream)(nil)
	_ deltav3.Callbacks     = (*stream)(nil)
)

// typeState is one Envoy's state of one type.
type typeState struct {
	// known are the versions that the Envoy has ACKed, or named when it connected.
	known map[string]string
	// dirty are names whose current state it may lack.
	dirty map[string]struct{}
	// refused are the versions that it NACKed: not sent again until they change.
	refused map[string]Refusal
	// afresh is true once Envoy may have applied half of a refused response, on this stream or
	// on one before. From then on each scope is marked (see marked).
	afresh bool
	// inflight is the response that it has not answered yet.
	inflight *flight
	// groups, after a NACK of several, are parts of it that go one by one, the last
	// first, to find the bad ones.
	groups [][]string
	// watch is open while the server waits for something to send.
	watch *watch
}

type flight struct {
	nonce    string
	versions map[string]string // "" = removed
}

type watch struct {
	request *discoveryv3.DeltaDiscoveryRequest
	out     chan cachev3.DeltaResponse
}

// touch marks names as changed and answers an open watch. Caller holds store.mu.
func (st *stream) touch(typeURL string, names []string) {
	t, ok := st.types[typeURL]
	if !ok {
		return
	}
	for _, name := range names {
		t.dirty[name] = struct{}{}
	}
	st.respond(typeURL, t, false)
}

func (st *stream) has(typeURL, name, version string) bool {
	t, ok := st.types[typeURL]
	if !ok {
		return false
	}
	return t.known[name] == version
}

// CreateWatch refuses state-of-the-world: it would resend everyone for each change.
func (st *stream) CreateWatch(*cachev3.Request, cachev3.Subscription, chan cachev3.Response) (func(), error) {
	return nil, fmt.Errorf("state-of-the-world xDS is not served")
}

// CreateDeltaWatch is called after each request of the Envoy; the first request of
// a type tells which versions it still has from an earlier connection.
func (st *stream) CreateDeltaWatch(req *cachev3.DeltaRequest, _ cachev3.Subscription, out chan cachev3.DeltaResponse) (func(), error) {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	typeURL := req.GetTypeUrl()
	if _, ok := st.store.types[typeURL]; !ok {
		return nil, fmt.Errorf("type %q is not served", typeURL)
	}
	// Envoy asks for listeners before it asks for their scopes, so an Envoy that ran before is
	// known as one even if it has ACKed no scope.
	st.ran = st.ran || len(req.GetInitialResourceVersions()) > 0
	t, ok := st.types[typeURL]
	if !ok {
		t = &typeState{known: map[string]string{}, refused: map[string]Refusal{}, afresh: st.ran && mayApplyHalf(typeURL)}
		maps.Copy(t.known, req.GetInitialResourceVersions())
		t.dirty = st.store.stale(typeURL, t.known)
		st.types[typeURL] = t
	} else {
		t.forget(req.GetResourceNamesSubscribe())
	}
	t.watch = &watch{request: req, out: out}
	// The first answer is sent even if empty: Envoy waits for it before it is ready.
	st.respond(typeURL, t, !ok)
	return func() { st.cancel(t, req) }, nil
}

// forget takes names that the Envoy subscribes to again as unknown to it: it dropped
// them when it unsubscribed (a certificate whose listener went and came back), and
// waits for them now.
func (t *typeState) forget(names []string) {
	for _, name := range names {
		delete(t.known, name)
		delete(t.refused, name)
		if t.inflight != nil {
			delete(t.inflight.versions, name)
		}
		t.dirty[name] = struct{}{}
	}
}

func (st *stream) cancel(t *typeState, req *cachev3.DeltaRequest) {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	if t.watch != nil && t.watch.request == req {
		t.watch = nil
	}
}

// respond sends the resources that the Envoy lacks. It does nothing while the Envoy has not
// answered the last response. Caller holds store.mu.
func (st *stream) respond(typeURL string, t *typeState, evenEmpty bool) {
	if t.watch == nil || t.inflight != nil {
		return
	}
	resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}
	versions := map[string]string{}
	mark := t.mark()
	for _, name := range t.due() {
		e, exists := st.store.types[typeURL][name]
		switch {
		case exists && t.refused[name].Version == e.version:
			delete(t.dirty, name) // a change will touch it again
		case exists && t.known[name] == e.version:
			delete(t.dirty, name)
		case exists:
			versions[name] = e.version
			resp.Resources = append(resp.Resources, &discoveryv3.Resource{Name: name, Version: e.version, Resource: marked(e.body, mark)})
		case t.known[name] != "" || t.afresh: // Envoy may list a scope that it never ACKed
			versions[name] = ""
			resp.RemovedResources = append(resp.RemovedResources, name)
		default:
			delete(t.dirty, name)
		}
	}
	if len(versions) == 0 && !evenEmpty {
		// All that this group held has changed or gone meanwhile. Other groups may wait.
		if len(t.dirty) > 0 || len(t.groups) > 0 {
			st.respond(typeURL, t, false)
		}
		return
	}
	for name := range versions {
		delete(t.dirty, name)
	}
	if len(t.dirty) == 0 {
		// A map keeps the room of the first full push, and walking it costs that room.
		t.dirty = map[string]struct{}{}
	}
	t.inflight = &flight{versions: versions}
	w := t.watch
	t.watch = nil
	w.out <- &deltaResponse{request: w.request, response: resp}
}

// due takes the next group to send, or everything.
func (t *typeState) due() []string {
	if n := len(t.groups); n > 0 {
		next := t.groups[n-1]
		t.groups = t.groups[:n-1]
		return next
	}
	return slices.Sorted(maps.Keys(t.dirty))
}

// OnDeltaStreamOpen registers the stream.
func (st *stream) OnDeltaStreamOpen(context.Context, int64, string) error { return nil }

// OnDeltaStreamClosed forgets the stream: an Envoy that left must not delay the other Envoys' routes.
func (st *stream) OnDeltaStreamClosed(int64, *corev3.Node) {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	delete(st.store.streams, st)
	st.store.broadcast()
}

// OnStreamDeltaResponse notes the nonce of the response that is being sent.
func (st *stream) OnStreamDeltaResponse(_ int64, req *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	if t := st.types[req.GetTypeUrl()]; t != nil && t.inflight != nil {
		t.inflight.nonce = resp.GetNonce()
	}
}

// OnStreamDeltaRequest takes in an ACK or a NACK. It runs before CreateDeltaWatch
// for the same request.
func (st *stream) OnStreamDeltaRequest(_ int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	st.store.mu.Lock()
	var nacks []Nack
	if id := req.GetNode().GetId(); id != "" && st.node != id {
		st.node = id
	}
	st.store.streams[st] = struct{}{}
	if t := st.types[req.GetTypeUrl()]; t != nil && t.inflight != nil && t.inflight.nonce == req.GetResponseNonce() && req.GetResponseNonce() != "" {
		if req.GetErrorDetail() == nil {
			t.ack()
		} else {
			nacks = st.nack(t, req)
		}
		st.store.broadcast()
	}
	st.store.mu.Unlock()
	for _, n := range nacks {
		st.store.onNack(n)
	}
	return nil
}

func (t *typeState) ack() {
	for name, version := range t.inflight.versions {
		if version == "" {
			delete(t.known, name)
		} else {
			t.known[name] = version
		}
		delete(t.refused, name)
	}
	t.inflight = nil
}

// nack finds the resources that an Envoy refuses. Of one alone there is no doubt: it
// is set aside. Several are sent again in two parts: the one that Envoy's message
// names and the others, else halves. An Envoy that refuses everything costs twice as
// many responses as there are resources, and no more.
func (st *stream) nack(t *typeState, req *discoveryv3.DeltaDiscoveryRequest) []Nack {
	sent := slices.Sorted(maps.Keys(t.inflight.versions))
	versions := t.inflight.versions
	t.inflight = nil
	for _, name := range sent {
		t.dirty[name] = struct{}{}
	}
	if len(sent) > 1 {
		t.afresh = t.afresh || mayApplyHalf(req.GetTypeUrl())
		suspects, others := split(sent, req.GetErrorDetail().GetMessage())
		t.groups = append(t.groups, others, suspects)
		return nil
	}
	var out []Nack
	for _, name := range sent {
		// It stays dirty: it may have changed while the refused version was under way.
		if versions[name] == "" {
			delete(t.known, name) // a refused removal cannot be repeated usefully
			if _, exists := st.store.types[req.GetTypeUrl()][name]; !exists {
				delete(t.dirty, name)
			}
			continue
		}
		t.refused[name] = Refusal{versions[name], reason(req.GetErrorDetail().GetMessage())}
		out = append(out, Nack{Node: st.node, TypeURL: req.GetTypeUrl(), Name: name, Refusal: t.refused[name]})
	}
	return out
}

// split parts the names of a refused response; names are sorted, and more than one.
func split(names []string, message string) (suspects, others []string) {
	for i, name := range names {
		if len(name) > 2 && strings.Contains(message, name) {
			return []string{name}, slices.Delete(slices.Clone(names), i, i+1)
		}
	}
	half := len(names) / 2
	return names[:half], names[half:]
}

// deltaResponse hands a ready response to go-control-plane's server.
type deltaResponse struct {
	request  *discoveryv3.DeltaDiscoveryRequest
	response *discoveryv3.DeltaDiscoveryResponse
}

func (r *deltaResponse) GetDeltaDiscoveryResponse() (*discoveryv3.DeltaDiscoveryResponse, error) {
	return r.response, nil
}
func (r *deltaResponse) GetDeltaRequest() *discoveryv3.DeltaDiscoveryRequest { return r.request }
func (r *deltaResponse) GetSystemVersion() (string, error)                   { return "", nil }
func (r *deltaResponse) GetResponseVersion() string                          { return "" }
func (r *deltaResponse) GetNextVersionMap() map[string]string                { return nil }
func (r *deltaResponse) GetReturnedResources() map[string]string             { return nil }
func (r *deltaResponse) GetContext() context.Context                         { return context.Background() }
