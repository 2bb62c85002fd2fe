package kube

import "sync"

// broadcast tells those who watch a pod that something about it has changed. It says
// that, never what: the watcher looks again, so a missed or doubled call does no harm.
type broadcast struct {
	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool // by pod name
}

func newBroadcast() *broadcast {
	return &broadcast{watchers: map[string]map[chan struct{}]bool{}}
}

func (b *broadcast) watch(pod string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers[pod] == nil {
		b.watchers[pod] = map[chan struct{}]bool{}
	}
	b.watchers[pod][ch] = true
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers[pod], ch)
		if len(b.watchers[pod]) == 0 {
			delete(b.watchers, pod)
		}
	}
}

func (b *broadcast) notify(pod string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.watchers[pod] {
		select {
		case ch <- struct{}{}:
		default: // told already and has not looked yet
		}
	}
}
