package kube

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	done, err := turns.take(t.Context(), "mallory")
	if err != nil {
		t.Fatal(err)
	}
	other, err := turns.take(t.Context(), "alice")
	if err != nil {
		t.Fatalf("alice waits for mallory: %v", err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := turns.take(ctx, "mallory"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second turn at the same time: %v", err)
	}
	done()
	again, err := turns.take(t.Context(), "mallory")
	if err != nil {
		t.Fatalf("the next turn: %v", err)
	}
	again()
	busy, most := 0, 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			done, err := turns.take(t.Context(), "mallory")
			if err != nil {
				t.Error(err)
				return
			}
			busy++ // the race detector sees two at a time
			most = max(most, busy)
			busy--
			done()
		})
	}
	all.Wait()
	if most != 1 || len(turns.users) != 0 {
		t.Errorf("%d at a time; %d users are remembered", most, len(turns.users))
	}
}
