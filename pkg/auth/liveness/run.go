package liveness

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/auth/account"
)

const (
	// tick is how often Run looks for work.
	tick = 5 * time.Second
	// atOnce bounds how many accounts are written, or people asked about, at one time.
	atOnce = 8
	// lastWords is how long a replica that stops may take to write what it has seen.
	lastWords = 5 * time.Second
)

// Run writes activity and asks again about active people until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { every(ctx, func() { k.Flush(ctx) }); return nil })
	g.Go(func() error { every(ctx, func() { k.RecheckActive(ctx) }); return nil })
	_ = g.Wait() // neither fails
	// What only this replica has seen would be lost with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	k.flush(ctx, func(t usage, a account.Account) bool { return t.news(a) })
	return nil
}

func every(ctx context.Context, do func()) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// Flush writes the activity that must be known to all replicas by now.
func (k *Keeper) Flush(ctx context.Context) {
	now := k.Now()
	k.flush(ctx, func(t usage, a account.Account) bool { return t.due(a, now, k.Idle) })
	k.forget(now)
}

func (k *Keeper) flush(ctx context.Context, due func(usage, account.Account) bool) {
	byUser := map[string][]usage{}
	for _, t := range k.snapshot() {
		a, _ := k.Accounts.Get(t.user)
		if !a.Disabled && !k.gone(t) && due(t, a) {
			byUser[t.user] = append(byUser[t.user], t)
		}
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	failed := make(chan error, len(byUser))
	for user, traces := range byUser {
		g.Go(func() error {
			if err := k.write(ctx, user, traces); err != nil {
				failed <- err
			}
			return nil
		})
	}
	_ = g.Wait()
	if n := len(failed); n > 0 && ctx.Err() == nil {
		// One line for all: they fail together when the Kubernetes API is away.
		k.Log.WarnContext(ctx, "what people did last could not be written; trying again", "people", n, "error", <-failed)
	}
}

func (k *Keeper) write(ctx context.Context, user string, traces []usage) error {
	now := k.Now()
	var evicted []account.Session
	err := k.Accounts.Update(ctx, user, func(a *account.Account) error {
		evicted = nil
		for _, t := range traces {
			evicted = append(evicted, t.apply(a, now, k.Idle)...)
		}
		a.Forget(now, k.Idle)
		return nil
	})
	if err != nil {
		return err
	}
	return k.evict(ctx, user, evicted)
}

// evict revokes sessions that fell out of an account because there were too many.
func (k *Keeper) evict(ctx context.Context, user string, evicted []account.Session) error {
	if len(evicted) == 0 {
		return nil
	}
	last := evicted[len(evicted)-1].Since // in order of their beginning
	if err := k.Revoked.RevokeBefore(ctx, user, last, k.Lifetime); err != nil {
		return fmt.Errorf("end the oldest sessions of %q: %w", user, err)
	}
	return nil
}

// gone reports whether a trace belongs to something that was revoked meanwhile.
func (k *Keeper) gone(t usage) bool {
	return t.token == "" && k.Revoked.Revoked(t.session.ID, t.user, t.session.Since)
}

func (k *Keeper) snapshot() []usage {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]usage, 0, len(k.traces))
	for _, t := range k.traces {
		all = append(all, *t)
	}
	return all
}

// forget drops traces that are written and old, or whose session is over.
func (k *Keeper) forget(now time.Time) {
	for _, t := range k.snapshot() {
		a, _ := k.Accounts.Get(t.user)
		over := t.token == "" && !now.Before(t.session.Expires)
		if !over && !a.Disabled && !k.gone(t) && (t.news(a) || now.Sub(t.seen) < 2*k.Every) {
			continue
		}
		k.mu.Lock()
		if kept := k.traces[t.key()]; kept != nil && kept.seen.Equal(t.seen) {
			delete(k.traces, t.key())
		}
		k.mu.Unlock()
	}
}

func (t usage) key() string {
	if t.token != "" {
		return tokenID(t.token)
	}
	return t.session.ID
}
