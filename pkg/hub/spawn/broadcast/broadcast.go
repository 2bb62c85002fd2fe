package broadcast

import (
	"sync"

	"github.com/perijove/perijove/pkg/server"
)

// Hub passes changes from one that makes them to all that watch. Make it with New.
type Hub struct {
	mu       sync.Mutex
	watchers map[server.ID]map[chan struct{}]bool
}

// New returns a Hub without watchers.
func New() *Hub { return &Hub{watchers: map[server.ID]map[chan struct{}]bool{}} }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it. Changes before the watcher looks are one.
func (h *Hub) Watch(id server.ID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[id] == nil {
		h.watchers[id] = map[chan struct{}]bool{}
	}
	h.watchers[id][ch] = true
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], ch)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
	}
}

// Notify tells all who watch the server.
func (h *Hub) Notify(id server.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.watchers[id] {
		select {
		case ch <- struct{}{}:
		default: // told already and has not looked yet
		}
	}
}

// Watched reports whether anyone watches the server.
func (h *Hub) Watched(id server.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers[id]) > 0
}
