package broadcast

import (
	"sync"

	"github.com/perijove/perijove/pkg/server"
)

// Hub passes changes from one that makes them to all that watch. Make it with New.
type Hub struct {
	mu      sync.Mutex
	servers watchers[server.ID]
	users   watchers[string]
}

// watchers are the channels of those who watch, by what they watch.
type watchers[K comparable] map[K]map[chan struct{}]bool

// New returns a Hub without watchers.
func New() *Hub { return &Hub{servers: watchers[server.ID]{}, users: watchers[string]{}} }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it. Changes before the watcher looks are one.
func (h *Hub) Watch(id server.ID) (changed <-chan struct{}, stop func()) {
	return watch(h, h.servers, id)
}

// WatchUser is Watch for all servers of a user, those that are yet to be made too.
func (h *Hub) WatchUser(user string) (changed <-chan struct{}, stop func()) {
	return watch(h, h.users, user)
}

func watch[K comparable](h *Hub, all watchers[K], key K) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if all[key] == nil {
		all[key] = map[chan struct{}]bool{}
	}
	all[key][ch] = true
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(all[key], ch)
		if len(all[key]) == 0 {
			delete(all, key)
		}
	}
}

// Notify tells all who watch the server, or its user.
func (h *Hub) Notify(id server.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell(h.servers[id])
	tell(h.users[id.User])
}

func tell(all map[chan struct{}]bool) {
	for ch := range all {
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
	return len(h.servers[id]) > 0
}
