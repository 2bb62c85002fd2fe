package ads

import (
	"fmt"
	"maps"
	"strconv"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
)

const typeURL = resourcev3.ScopedRouteType

// envoy is the client side of the protocol as go-control-plane's server drives a
// stream: one watch at a time, ACK or NACK per response.
type envoy struct {
	store   *Store
	stream  *stream
	out     chan cachev3.DeltaResponse
	pending *discoveryv3.DeltaDiscoveryResponse
	cancel  func()
	nonce   int
	has     map[string]string // name → version that it has ACKed
	// Envoy applies half of a refused response of scopes: it lists the good ones and does not
	// route by them, and a scope with the content that it lists already is no news to it.
	listed map[string]string // name → content
	routes map[string]string // name → version
	// hates are versions that this Envoy refuses.
	hates map[string]bool
}

func (e *envoy) connect() {
	ran := e.stream != nil
	if ran {
		e.cancel()
		e.stream.OnDeltaStreamClosed(1, nil)
	}
	e.stream = &stream{store: e.store, types: map[string]*typeState{}}
	e.out = make(chan cachev3.DeltaResponse, 4)
	e.pending = nil
	if ran {
		e.nameListener()
	}
	e.request(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "e"}, TypeUrl: typeURL, InitialResourceVersions: maps.Clone(e.has),
	})
}

// nameListener is the request of an Envoy that ran before this stream: it asks for listeners
// before it asks for their routes, and names the one that it has.
func (e *envoy) nameListener() {
	req := &discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "e"}, TypeUrl: resourcev3.ListenerType, InitialResourceVersions: map[string]string{"edge": "1"},
	}
	if err := e.stream.OnStreamDeltaRequest(1, req); err != nil {
		panic(err)
	}
	cancel, err := e.stream.CreateDeltaWatch(req, streamv3.Subscription{}, make(chan cachev3.DeltaResponse, 1))
	if err != nil {
		panic(err)
	}
	cancel()
}

func (e *envoy) request(req *discoveryv3.DeltaDiscoveryRequest) {
	if err := e.stream.OnStreamDeltaRequest(1, req); err != nil {
		panic(err)
	}
	if e.cancel != nil {
		e.cancel()
	}
	var err error
	e.cancel, err = e.stream.CreateDeltaWatch(req, streamv3.Subscription{}, e.out)
	if err != nil {
		panic(err)
	}
	e.receive()
}

// receive takes the response that the server sent, if any.
func (e *envoy) receive() {
	select {
	case r := <-e.out:
		if e.pending != nil {
			panic("two responses of a type under way")
		}
		resp, _ := r.GetDeltaDiscoveryResponse()
		e.nonce++
		resp.Nonce = strconv.Itoa(e.nonce)
		e.stream.OnStreamDeltaResponse(1, r.GetDeltaRequest(), resp)
		e.pending = resp
	default:
	}
}

// answer applies the pending response as Envoy does: all of it, or a NACK.
func (e *envoy) answer() bool {
	e.receive()
	resp := e.pending
	if resp == nil {
		return false
	}
	e.pending = nil
	req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: resp.GetNonce()}
	for _, r := range resp.GetResources() {
		if e.hates[r.GetName()+r.GetVersion()] {
			req.ErrorDetail = &statusv3.Status{Message: "no"}
		}
	}
	if e.listed == nil {
		e.listed, e.routes = map[string]string{}, map[string]string{}
	}
	for _, r := range resp.GetResources() {
		name, version, content := r.GetName(), r.GetVersion(), string(r.GetResource().GetValue())
		switch {
		case e.hates[name+version]:
			continue
		case req.ErrorDetail == nil && e.listed[name] != content:
			e.routes[name] = version
		}
		e.listed[name] = content
		if req.ErrorDetail == nil {
			e.has[name] = version
		}
	}
	for _, name := range resp.GetRemovedResources() {
		if req.ErrorDetail == nil {
			delete(e.has, name)
			delete(e.listed, name)
			delete(e.routes, name)
		}
	}
	e.request(req)
	return true
}

func scope(name string, content int) Resource {
	return Resource{Name: name, Message: &routev3.ScopedRouteConfiguration{
		Name: name, RouteConfigurationName: strconv.Itoa(content),
	}}
}

// FuzzEveryOrderConverges runs any order of adds, changes, removals, answers and
// reconnects on two Envoys, one of which refuses some versions. In the end each has
// what the server has, except refused versions.
func FuzzEveryOrderConverges(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{0x10, 0x80, 0x20, 0x81, 0x11, 0xC0, 0x90, 0xFF, 0x03})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 400 {
			return
		}
		store := NewStore(func(Nack) {}, typeURL, resourcev3.ListenerType)
		envoys := []*envoy{
			{store: store, has: map[string]string{}, hates: map[string]bool{}},
			{store: store, has: map[string]string{}, hates: map[string]bool{}},
		}
		for _, e := range envoys {
			e.connect()
		}
		for i, op := range ops {
			name := fmt.Sprintf("user%d", op&7)
			e := envoys[(op>>3)&1]
			switch op >> 5 {
			case 0, 1:
				update(t, store, scope(name, int(op)))
			case 2:
				update(t, store, Resource{Name: name})
			case 3:
				v := update(t, store, scope(name, 1000+i))
				envoys[1].hates[name+v[name]] = true
			case 4:
				e.connect()
			case 5:
				update(t, store, scope(name, int(op)), Resource{Name: "user0"}, scope("user9", i))
			default:
				e.answer()
			}
		}
		for n := range envoys {
			steps := 0
			for envoys[n].answer() {
				if steps++; steps > 200 {
					t.Fatalf("Envoy %d is sent responses without end", n)
				}
			}
			want := store.Versions(typeURL)
			for name, version := range want {
				got := envoys[n].has[name]
				if got != version && !envoys[n].hates[name+version] {
					t.Errorf("Envoy %d has %s at %q, the server %q", n, name, got, version)
				}
			}
			for name, version := range want {
				if envoys[n].routes[name] != version && !envoys[n].hates[name+version] {
					t.Errorf("Envoy %d routes %s by %q, the server has %q", n, name, envoys[n].routes[name], version)
				}
			}
			for name := range envoys[n].has {
				if _, ok := want[name]; !ok {
					t.Errorf("Envoy %d still has %s", n, name)
				}
			}
		}
		for name := range store.Versions(typeURL) {
			_, acked := store.Acked(typeURL, name)
			wanted := 0
			for _, e := range envoys {
				if e.has[name] == store.Versions(typeURL)[name] {
					wanted++
				}
			}
			if acked != wanted {
				t.Errorf("%s: the store counts %d ACKs, %d Envoys have it", name, acked, wanted)
			}
		}
	})
}

// update publishes resources and returns the versions of all.
func update(t *testing.T, s *Store, r ...Resource) map[string]string {
	t.Helper()
	if err := s.Update(typeURL, r); err != nil {
		t.Fatal(err)
	}
	return s.Versions(typeURL)
}

func TestOneChangeSendsOneResource(t *testing.T) {
	store := NewStore(func(Nack) {}, typeURL)
	var all []Resource
	for i := range 1000 {
		all = append(all, scope(fmt.Sprintf("user%d", i), 1))
	}
	update(t, store, all...)
	e := &envoy{store: store, has: map[string]string{}}
	e.connect()
	e.answer()
	update(t, store, scope("user7", 2))
	e.receive()
	if n := len(e.pending.GetResources()); n != 1 {
		t.Errorf("%d resources sent for one change, want 1", n)
	}
}

func TestReconnectGetsOnlyTheDifference(t *testing.T) {
	store := NewStore(func(Nack) {}, typeURL, resourcev3.ListenerType)
	update(t, store, scope("a", 1), scope("b", 1), scope("c", 1))
	e := &envoy{store: store, has: map[string]string{}}
	e.connect()
	e.answer()
	update(t, store, Resource{Name: "b"}, scope("d", 1))
	e.answer()
	e.has["b"] = "old" // it missed the removal while disconnected
	e.connect()
	if got := e.pending; len(got.GetResources()) != 0 || len(got.GetRemovedResources()) != 1 {
		t.Errorf("reconnect got %d resources and removals %v, want only the removal of b", len(got.GetResources()), got.GetRemovedResources())
	}
}

func TestAckedCountsOnlyScopesThatAreRoutedBy(t *testing.T) {
	store := NewStore(func(Nack) {}, typeURL)
	versions := update(t, store, scope("good", 1), scope("login", 1), scope("other", 1))
	e := &envoy{store: store, has: map[string]string{}, hates: map[string]bool{"login" + versions["login"]: true}}
	e.connect()
	for more := true; more; more = e.answer() {
		for _, name := range []string{"good", "other"} {
			if _, acked := store.Acked(typeURL, name); acked == 1 && e.routes[name] != versions[name] {
				t.Errorf("%s counts as ACKed before Envoy routes by it", name)
			}
		}
	}
	if _, acked := store.Acked(typeURL, "good"); acked != 1 || e.routes["good"] == "" {
		t.Error("the good scope is not routed by in the end")
	}
}

func TestRefusedResourceIsReportedAndHarmsNoOther(t *testing.T) {
	var nacks []Nack
	store := NewStore(func(n Nack) { nacks = append(nacks, n) }, typeURL)
	var all []Resource
	for i := range 50 {
		all = append(all, scope(fmt.Sprintf("user%02d", i), 1))
	}
	versions := update(t, store, all...)
	e := &envoy{store: store, has: map[string]string{}, hates: map[string]bool{"user31" + versions["user31"]: true}}
	e.connect()
	steps := 0
	for e.answer() {
		steps++
	}
	if len(e.has) != 49 || len(nacks) != 1 || nacks[0].Name != "user31" {
		t.Errorf("after %d answers %d of 49 good resources arrived, refused: %v", steps, len(e.has), nacks)
	}
	for name, version := range versions {
		if name != "user31" && e.routes[name] != version {
			t.Errorf("%s arrived in a refused response and is not routed by", name)
		}
	}
	if envoys, acked := store.Acked(typeURL, "user31"); envoys != 1 || acked != 0 {
		t.Errorf("the refused resource counts as ACKed (%d of %d)", acked, envoys)
	}
	update(t, store, scope("user31", 2)) // mended
	e.answer()
	if _, acked := store.Acked(typeURL, "user31"); acked != 1 {
		t.Error("the mended resource was not sent")
	}
}

// An Envoy that refuses everything (another version, say) costs two responses a
// resource at most, hears of changes, and is not sent refused ones again.
func TestAnEnvoyThatRefusesEverythingIsBounded(t *testing.T) {
	const n = 1024
	var nacks int
	store := NewStore(func(Nack) { nacks++ }, typeURL)
	var all []Resource
	for i := range n {
		all = append(all, scope(fmt.Sprintf("user%04d", i), 1))
	}
	e := &envoy{store: store, has: map[string]string{}, hates: map[string]bool{}}
	for name, version := range update(t, store, all...) {
		e.hates[name+version] = true
	}
	e.connect()
	responses, resources := 0, 0
	for {
		if e.receive(); e.pending == nil {
			break
		}
		responses++
		resources += len(e.pending.GetResources())
		e.answer()
	}
	if nacks != n || responses > 2*n || resources > n*11 { // log2(n) + 1 = 11 levels
		t.Errorf("%d of %d refused after %d responses with %d resources", nacks, n, responses, resources)
	}
	update(t, store, scope("user0007", 2))
	e.answer()
	if len(e.has) != 1 || e.answer() {
		t.Errorf("after a mended one the Envoy has %d and more is sent", len(e.has))
	}
}

func TestChangesWhileAResponseIsUnderWayAreCoalesced(t *testing.T) {
	store := NewStore(func(Nack) {}, typeURL)
	e := &envoy{store: store, has: map[string]string{}}
	e.connect()
	for i := range 100 {
		update(t, store, scope("a", i))
	}
	e.answer() // the empty first response
	responses := 0
	for e.answer() {
		responses++
	}
	if responses > 2 {
		t.Errorf("%d responses for 100 changes of one name, want at most 2", responses)
	}
	if _, acked := store.Acked(typeURL, "a"); acked != 1 {
		t.Error("the last change did not arrive")
	}
}

// A name that an Envoy asks for again is sent again: the Envoy has dropped it.
func TestSubscribingAgainSendsAgain(t *testing.T) {
	store := NewStore(func(Nack) {}, typeURL)
	update(t, store, scope("a", 1), scope("b", 1))
	e := &envoy{store: store, has: map[string]string{}}
	e.connect()
	e.answer()
	e.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: []string{"a"}})
	if e.pending != nil {
		t.Fatal("unsubscribing is answered")
	}
	again := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: []string{"a"}}
	e.request(again)
	if e.pending == nil || len(e.pending.GetResources()) != 1 || e.pending.GetResources()[0].GetName() != "a" {
		t.Fatalf("subscribing again got %v, want a", e.pending)
	}
	e.request(again) // while that response is under way
	if e.answer(); !e.answer() {
		t.Error("what was asked for during a response was not sent after it")
	}
}
