package liveness

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/auth/account"
)

const (
	// tick is how often Run looks for work.
	tick = 5 * time.Second
	// atOnce bounds how many accounts are written, or users asked about, at one time.
	atOnce = 8
	// lastWords is how long a replica that stops may take to write what it has seen.
	lastWords = 5 * time.Second
)

// Run writes activity and asks again about active users until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { every(ctx, func() { k.Flush(ctx) }); return nil })
	g.Go(func() error { every(ctx, func() { k.RecheckActive(ctx) }); return nil })
	_ = g.Wait() // neither fails
	// What only this replica has seen would be lost with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	k.flush(ctx, func(u usage, a account.Account) bool { return u.news(a) })
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
	k.flush(ctx, func(u usage, a account.Account) bool { return u.due(a, now, k.Idle) })
	k.forget(now)
}

func (k *Keeper) flush(ctx context.Context, due func(usage, account.Account) bool) {
	byUser := map[string][]usage{}
	for _, u := range k.snapshot() {
		a, _ := k.accounts.Get(u.user)
		if !a.Disabled && !k.gone(u, a) && due(u, a) {
			byUser[u.user] = append(byUser[u.user], u)
		}
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	failed := make(chan error, len(byUser))
	for user, usages := range byUser {
		g.Go(func() error {
			if err := k.write(ctx, user, usages); err != nil {
				failed <- err
			}
			return nil
		})
	}
	_ = g.Wait()
	if n := len(failed); n > 0 && ctx.Err() == nil {
		// One line for all: they fail together when the Kubernetes API is away.
		k.Log.WarnContext(ctx, "activity could not be written; trying again", "users", n, "error", <-failed)
	}
}

func (k *Keeper) write(ctx context.Context, user string, usages []usage) error {
	now := k.Now()
	var evicted []account.Session
	err := k.accounts.Update(ctx, user, func(a *account.Account) error {
		evicted = nil
		for _, u := range usages {
			evicted = append(evicted, u.apply(a, now, k.Idle)...)
		}
		a.Forget(now, k.Idle)
		return nil
	})
	if err != nil {
		return err
	}
	return k.evict(ctx, user, evicted)
}

// gone reports whether a usage is of a session that was revoked meanwhile, or whose name is
// another person's by now.
func (k *Keeper) gone(u usage, a account.Account) bool {
	return u.token == "" && (a.Foreign(u.session.ID, u.session.Since) || k.revoked.Revoked(u.session.ID, u.user, u.session.Since))
}

func (k *Keeper) snapshot() []usage {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]usage, 0, len(k.usages))
	for _, u := range k.usages {
		all = append(all, *u)
	}
	return all
}

// forget drops usages that are written and old, or whose session is over.
func (k *Keeper) forget(now time.Time) {
	for _, u := range k.snapshot() {
		a, _ := k.accounts.Get(u.user)
		over := u.token == "" && !now.Before(u.session.Expires)
		if !over && !a.Disabled && !k.gone(u, a) && (u.news(a) || now.Sub(u.seen) < 2*k.Every) {
			continue
		}
		k.mu.Lock()
		if kept := k.usages[u.key()]; kept != nil && kept.seen.Equal(u.seen) {
			delete(k.usages, u.key())
		}
		k.mu.Unlock()
	}
}
