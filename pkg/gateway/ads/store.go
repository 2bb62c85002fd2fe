package ads

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one named resource of a type; a nil Message withdraws the name.
type Resource struct {
	Name    string
	Message proto.Message
}

// Refusal is the version of a resource that an Envoy refused, and why: one line in Envoy's words,
// cleaned of the resource's content.
type Refusal struct{ Version, Reason string }

// Nack is an Envoy's refusal of a resource.
type Nack struct {
	Node, TypeURL, Name string
	Refusal
}

// Store holds the current resources of every type and the streams they go to. All
// methods are safe for concurrent use.
type Store struct {
	onNack func(Nack)

	mu      sync.Mutex
	types   map[string]map[string]entry
	streams map[*stream]struct{}
	changed chan struct{} // closed and replaced whenever an answer of Acked or Refused may differ
}

type entry struct {
	version string
	body    *anypb.Any
}

// NewStore returns an empty store for the given resource types; others are
// refused. onNack is called for each resource that an Envoy refuses, outside of
// any lock.
func NewStore(onNack func(Nack), typeURLs ...string) *Store {
	s := &Store{
		onNack:  onNack,
		types:   map[string]map[string]entry{},
		streams: map[*stream]struct{}{},
		changed: make(chan struct{}),
	}
	for _, t := range typeURLs {
		s.types[t] = map[string]entry{}
	}
	return s
}

// Update publishes and withdraws resources of one type. Unchanged content is not sent
// again. It fails, and changes nothing, when a message cannot be marshalled or the type is
// not served.
func (s *Store) Update(typeURL string, resources []Resource) error {
	next := make(map[string]entry, len(resources))
	for _, r := range resources {
		if r.Message == nil {
			next[r.Name] = entry{}
			continue
		}
		e, err := newEntry(r.Message)
		if err != nil {
			return fmt.Errorf("resource %q: %w", r.Name, err)
		}
		next[r.Name] = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.types[typeURL]
	if !ok {
		return fmt.Errorf("type %q is not served", typeURL)
	}
	var touched []string
	for name, e := range next {
		if current[name].version == e.version {
			continue
		}
		touched = append(touched, name)
		if e.version == "" {
			delete(current, name)
			continue
		}
		current[name] = e
	}
	if len(touched) > 0 {
		for st := range s.streams {
			st.touch(typeURL, touched)
		}
		s.broadcast()
	}
	return nil
}

func newEntry(m proto.Message) (entry, error) {
	body := &anypb.Any{}
	if err := anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return entry{}, fmt.Errorf("marshal: %w", err)
	}
	sum := sha256.Sum256(body.Value)
	return entry{version: hex.EncodeToString(sum[:8]), body: body}, nil
}

// Versions returns a copy of the names and versions of a type.
func (s *Store) Versions(typeURL string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]string, len(s.types[typeURL]))
	for name, e := range s.types[typeURL] {
		out[name] = e.version
	}
	return out
}

// Acked returns how many Envoys are connected and how many of them have ACKed the
// current version of name; a withdrawn name counts as ACKed once it is gone there.
func (s *Store) Acked(typeURL, name string) (envoys, acked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked(typeURL, name)
}

func (s *Store) acked(typeURL, name string) (envoys, acked int) {
	want := s.types[typeURL][name].version
	for st := range s.streams {
		if st.has(typeURL, name, want) {
			acked++
		}
	}
	return len(s.streams), acked
}

// Refused returns whether a connected Envoy refused the current version of name, and why. A
// refusal of an earlier version does not count.
func (s *Store) Refused(typeURL, name string) (Refusal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.types[typeURL][name]
	if !ok {
		return Refusal{}, false
	}
	for st := range s.streams {
		if t := st.types[typeURL]; t != nil && t.refused[name].Version == e.version {
			return t.refused[name], true
		}
	}
	return Refusal{}, false
}

// Changed returns a channel that is closed when an answer of Acked or Refused may differ from
// one given before the call.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Envoys returns the node ids of the connected Envoys.
func (s *Store) Envoys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for st := range s.streams {
		out = append(out, st.node)
	}
	return out
}

func (s *Store) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// stale returns the names of a type that a client with the given versions lacks or has in
// another version, and the names that it has and should not have.
func (s *Store) stale(typeURL string, known map[string]string) map[string]struct{} {
	out := map[string]struct{}{}
	for name, e := range s.types[typeURL] {
		if known[name] != e.version {
			out[name] = struct{}{}
		}
	}
	for name := range maps.Keys(known) {
		if _, ok := s.types[typeURL][name]; !ok {
			out[name] = struct{}{}
		}
	}
	return out
}
