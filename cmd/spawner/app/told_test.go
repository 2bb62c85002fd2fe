package app

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// TestTold: users are told of a refusal, and of nothing else that keeps a route away.
func TestTold(t *testing.T) {
	t.Parallel()
	refusal := fmt.Errorf("wait: %w", &routestatus.Refusal{Version: "7", Reason: "no"})
	for answer, want := range map[error]bool{refusal: true, context.DeadlineExceeded: false, nil: false} {
		err := told(func(context.Context, server.ID, string) error { return answer })(t.Context(), server.ID{User: "alice"}, "uid")
		var problem *spawn.Problem
		if got := errors.As(err, &problem); got != want || !errors.Is(err, answer) {
			t.Errorf("%v becomes %v", answer, err)
		}
		if want && problem.Message != spawn.MsgRouteRefused {
			t.Errorf("message %q", problem.Message)
		}
	}
}
