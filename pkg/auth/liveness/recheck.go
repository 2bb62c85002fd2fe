package liveness

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
)

// askWait bounds one question about a user, and writing down the answer.
const askWait = 15 * time.Second

// errLater: another replica has just asked about this user.
var errLater = errors.New("asked already")

// RecheckActive asks again about every user who was here since they were asked about last, at
// most once in Every over all replicas. It asks about no further user once ctx is done.
func (k *Keeper) RecheckActive(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for user, seen := range k.lastSeen() {
		a, ok := k.accounts.Get(user)
		if !ok || a.Disabled || k.Recheck[a.Method] == nil || dueTo(a, seen, k.Now(), k.Every).none() {
			continue
		}
		g.Go(func() error {
			if ctx.Err() == nil {
				k.ask(ctx, user, seen)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// presence is when this replica saw a user last, and each of their sessions.
type presence struct {
	user     time.Time
	sessions map[string]time.Time
}

func (k *Keeper) lastSeen() map[string]presence {
	all := map[string]presence{}
	for _, u := range k.snapshot() {
		p, ok := all[u.user]
		if !ok {
			p.sessions = map[string]time.Time{}
		}
		if u.seen.After(p.user) {
			p.user = u.seen
		}
		p.sessions[u.session.ID] = u.seen
		all[u.user] = p
	}
	return all
}

// due is what must be asked about: the user, or sessions that have a refresh token of their own.
type due struct {
	user     bool
	sessions []string
}

func (d due) none() bool { return !d.user && len(d.sessions) == 0 }

// dueTo: who was here since, and was asked about last long enough ago.
func dueTo(a account.Account, seen presence, now time.Time, every time.Duration) due {
	overdue := func(seen, checked time.Time) bool { return seen.After(checked) && now.Sub(checked) >= every }
	d := due{user: overdue(seen.user, a.Checked)}
	for _, s := range a.Sessions {
		if s.Checked.IsZero() {
			continue
		}
		d.user = false // the answers about sessions say all there is to know
		if overdue(seen.sessions[s.ID], s.Checked) {
			d.sessions = append(d.sessions, s.ID)
		}
	}
	return d
}

// ask finishes what it has begun although the service stops meanwhile: a provider that has
// rotated a refresh token takes the old one for stolen.
func (k *Keeper) ask(ctx context.Context, user string, seen presence) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWait)
	defer cancel()
	a, turn, err := k.takeTurn(ctx, user, seen)
	switch {
	case errors.Is(err, errLater):
	case err != nil:
		k.Log.WarnContext(ctx, "a user could not be checked again", "user", user, "error", err)
	case turn.user:
		k.askUser(ctx, a)
	default:
		k.askSessions(ctx, a, turn.sessions)
	}
}

// takeTurn writes down that this replica asks: of two replicas one does. A refresh token that
// two use at once looks stolen to its provider.
func (k *Keeper) takeTurn(ctx context.Context, user string, seen presence) (a account.Account, turn due, err error) {
	now := k.Now()
	err = k.accounts.Update(ctx, user, func(stored *account.Account) error {
		turn = dueTo(*stored, seen, now, k.Every)
		if stored.Disabled || turn.none() {
			return errLater
		}
		if turn.user {
			stored.Checked = now
		}
		stored.Sessions = slices.Clone(stored.Sessions)
		for i, s := range stored.Sessions {
			if slices.Contains(turn.sessions, s.ID) {
				stored.Sessions[i].Checked = now
			}
		}
		a = *stored
		return nil
	})
	return a, turn, err
}

// askUser asks about the user: a directory, or a provider whose refresh token outlives sessions.
func (k *Keeper) askUser(ctx context.Context, a account.Account) {
	oldest, newest := span(a.Sessions)
	answer, err := k.Recheck[a.Method](ctx, a, oldest)
	before := time.Time{} // sessions up to this moment end, nothing else
	if refused(err) && newest.After(oldest) {
		// A password that was changed ends the sessions from before, not those since.
		before = newest.Add(-time.Millisecond)
		if answer.Refresh != "" {
			a.Refresh = answer.Refresh
		}
		refresh := answer.Refresh
		if answer, err = k.Recheck[a.Method](ctx, a, newest); answer.Refresh == "" {
			answer.Refresh = refresh
		}
	}
	k.settle(ctx, a, answer, err, before)
}

// span returns when the oldest and the newest session began; zero when there is none.
func span(sessions []account.Session) (oldest, newest time.Time) {
	for i, s := range sessions {
		if i == 0 || s.Since.Before(oldest) {
			oldest = s.Since
		}
		if s.Since.After(newest) {
			newest = s.Since
		}
	}
	return oldest, newest
}

func refused(err error) bool {
	return errors.Is(err, access.ErrNotAllowed) || errors.Is(err, access.ErrCredentials)
}

// settle writes what was found out. An answer that says no takes effect at once on this
// replica, whether or not it can be written.
func (k *Keeper) settle(ctx context.Context, a account.Account, answer Answer, err error, before time.Time) {
	result := "unchanged"
	switch {
	case refused(err):
		result = "refused"
		telemetry.Audit(ctx, k.Log, telemetry.UserRefused, "a user is no longer allowed here; all their sessions end", "user", a.Name, "method", a.Method, "reason", err.Error())
		if err := k.revoked.RevokeUser(ctx, a.Name, k.Lifetime); err != nil {
			k.Log.ErrorContext(ctx, "the end of a user's sessions is known to this replica only, for now", "user", a.Name, "error", err)
		}
	case err != nil:
		result = "unavailable"
	case !before.IsZero():
		result = "password_changed"
		telemetry.Audit(ctx, k.Log, telemetry.PasswordChanged, "sessions from before a change of password end", "user", a.Name, "method", a.Method)
		if err := k.revoked.RevokeBefore(ctx, a.Name, before, k.Lifetime); err != nil {
			k.Log.ErrorContext(ctx, "the end of a user's sessions is known to this replica only, for now", "user", a.Name, "error", err)
		}
	}
	k.rechecks.WithLabelValues(a.Method, result).Inc()
	k.complain(ctx, a.Method, result == "unavailable", err)
	if err := k.accounts.Update(ctx, a.Name, func(stored *account.Account) error {
		if answer.Refresh != "" {
			stored.Refresh = answer.Refresh
		}
		switch {
		case result == "refused":
			stored.Disabled, stored.Sessions = true, nil
			stored.Note(k.Now(), trail.Refused, "", "")
		case err == nil:
			if result == "password_changed" {
				stored.Note(k.Now(), trail.PasswordChanged, "", "")
			}
			stored.Recognise(answer.Links)
			stored.Groups, stored.Admin, stored.DisplayName = answer.User.Groups, answer.User.Admin, answer.User.DisplayName
		}
		return nil
	}); err != nil {
		k.Log.ErrorContext(ctx, "what the directory said about a user could not be written", "user", a.Name, "error", err)
	}
}

// complain writes one line when a method stops answering, and one when it answers again.
func (k *Keeper) complain(ctx context.Context, method string, silent bool, err error) {
	k.mu.Lock()
	changed := k.silent[method] != silent
	k.silent[method] = silent
	k.mu.Unlock()
	switch {
	case changed && silent:
		k.Log.WarnContext(ctx, "users who are logged in cannot be checked again; what was known of them stays in force", "method", method, "error", err)
	case changed:
		k.Log.InfoContext(ctx, "users who are logged in are checked again", "method", method)
	}
}
