package kube

import (
	"context"
	"sync"
)

// turns lets each user call the API once at a time. A user who asks for a thousand things at
// once then has one call in the queue of the client's rate limit, and delays others by one
// call at most.
type turns struct {
	mu    sync.Mutex
	users map[string]*turn
}

type turn struct {
	free    chan struct{} // has a value while no call holds the turn
	waiting int           // calls that hold it or wait for it
}

func newTurns() *turns { return &turns{users: map[string]*turn{}} }

// take waits for the user's turn; done ends it. An error means that ctx ended first.
func (t *turns) take(ctx context.Context, user string) (done func(), err error) {
	t.mu.Lock()
	mine := t.users[user]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.users[user] = mine
	}
	mine.waiting++
	t.mu.Unlock()
	select {
	case <-mine.free:
		return func() {
			mine.free <- struct{}{}
			t.leave(user, mine)
		}, nil
	case <-ctx.Done():
		t.leave(user, mine)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(user string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.waiting--; mine.waiting == 0 {
		delete(t.users, user)
	}
}
