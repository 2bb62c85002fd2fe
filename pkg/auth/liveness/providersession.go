package liveness

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
)

// askSessions asks a provider about sessions that each have a refresh token of their own. When
// the user logs out at the provider in one browser, it refuses that session's token: the session
// ends, and those of other browsers and API tokens go on. A word about the user counts for all.
func (k *Keeper) askSessions(ctx context.Context, a account.Account, ids []string) {
	var user *access.User
	var over []account.Session
	refresh := map[string]string{} // session ID to the token to keep
	unavailable := false
	var last error
	for _, id := range ids {
		s, ok := a.Session(id)
		if !ok {
			continue
		}
		asked := a
		asked.Refresh = s.Refresh
		answer, err := k.Recheck[a.Method](ctx, asked, s.Since)
		if answer.Refresh != "" {
			refresh[id] = answer.Refresh
		}
		switch {
		case errors.Is(err, ErrTokenRefused):
			over = append(over, s)
		case refused(err):
			k.settle(ctx, a, Answer{}, err, time.Time{})
			return
		case err != nil:
			unavailable, last = true, err
		default:
			user = &answer.User
		}
	}
	k.complain(ctx, a.Method, unavailable, last)
	k.endProviderSessions(ctx, a, over)
	left := k.keepAnswers(ctx, a.Name, user, refresh, over)
	k.rechecks.WithLabelValues(a.Method, sessionsResult(over, unavailable)).Inc()
	if len(over) > 0 && left == 0 {
		// Nothing is left to ask the provider with: API tokens end too, until the next login.
		k.settle(ctx, a, Answer{}, errors.Join(access.ErrNotAllowed, ErrTokenRefused), time.Time{})
	}
}

func sessionsResult(over []account.Session, unavailable bool) string {
	switch {
	case len(over) > 0:
		return "session_over"
	case unavailable:
		return "unavailable"
	}
	return "unchanged"
}

func (k *Keeper) endProviderSessions(ctx context.Context, a account.Account, over []account.Session) {
	for _, s := range over {
		telemetry.Audit(ctx, k.Log, telemetry.SessionRevoked, "the provider ended a session", "user", a.Name, "method", a.Method, "provider", s.Provider)
		if err := k.revoked.RevokeSession(ctx, revocation.Session{ID: s.ID, User: a.Name, Since: s.Since, Until: s.Expires}); err != nil {
			k.Log.ErrorContext(ctx, "the end of a session is known to this replica only, for now", "user", a.Name, "error", err)
		}
	}
}

// keepAnswers writes what was found out and returns how many sessions are left.
func (k *Keeper) keepAnswers(ctx context.Context, name string, user *access.User, refresh map[string]string, over []account.Session) (left int) {
	now := k.Now()
	err := k.accounts.Update(ctx, name, func(stored *account.Account) error {
		stored.Forget(now, k.Idle)
		stored.Sessions = slices.DeleteFunc(slices.Clone(stored.Sessions), func(s account.Session) bool {
			return slices.ContainsFunc(over, func(o account.Session) bool { return o.ID == s.ID })
		})
		for i, s := range stored.Sessions {
			if token := refresh[s.ID]; token != "" {
				stored.Sessions[i].Refresh = token
			}
		}
		if user != nil {
			stored.Groups, stored.Admin, stored.DisplayName = user.Groups, user.Admin, user.DisplayName
		}
		left = len(stored.Sessions)
		return nil
	})
	if err != nil {
		k.Log.ErrorContext(ctx, "what a provider said about a user could not be written", "user", name, "error", err)
		return 1 // not known: nothing more ends
	}
	return left
}
