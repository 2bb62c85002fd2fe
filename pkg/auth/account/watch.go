package account

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/auth/feed"
	"github.com/perijove/perijove/pkg/contract"
)

// Run follows all accounts until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-s.Synced():
			s.fresh.Keep(ctx, s.beatEvery, "accounts", s.Log, s.prove)
		case <-ctx.Done():
		}
	})
	err := s.feed.Run(ctx)
	running.Wait()
	return err
}

func (s *Store) feedSettings() feed.Settings {
	return feed.Settings{Name: "accounts", Namespace: s.Namespace, Labels: s.selector(), Log: s.Log}
}

// sink is the Store as its feed sees it. It keeps no Secret.
type sink struct{ *Store }

func (s sink) Put(ctx context.Context, secret *corev1.Secret) {
	if e, ok := s.entry(ctx, secret); ok {
		s.view.set(e.uid, e.stored)
	}
}

// Drop goes by the object's name: its content may be what could not be read.
func (s sink) Drop(_ context.Context, secret *corev1.Secret) {
	s.view.removeWhere(func(name string) bool { return s.secretName(name) == secret.Name })
}

func (s sink) Replace(ctx context.Context, list []*corev1.Secret) {
	all := make([]entry, 0, len(list))
	objects := make(map[string]bool, len(list))
	for _, secret := range list {
		objects[secret.Name] = true
		if e, ok := s.entry(ctx, secret); ok {
			all = append(all, e)
		}
	}
	s.fresh.Confirm(s.Now())
	s.view.replace(all, func(name string) bool { return objects[s.secretName(name)] })
}

// entry reads an account, or logs that it cannot be read: it must not hide the others.
func (s sink) entry(ctx context.Context, secret *corev1.Secret) (entry, bool) {
	if secret.Name == s.beatName() {
		s.heard(secret)
		return entry{}, false
	}
	if secret.Labels[contract.LabelAccount] == "" || secret.Labels[contract.LabelInstance] != s.Release {
		return entry{}, false
	}
	v, err := s.decode(secret)
	if err != nil {
		s.Log.ErrorContext(ctx, "an account cannot be read; its last known state stays in force", "error", err)
		return entry{}, false
	}
	return entry{v, secret.UID}, true
}
