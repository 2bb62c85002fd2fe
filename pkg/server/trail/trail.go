package trail

import (
	"context"
	"strings"
	"time"
)

// Most is how many events are kept.
const Most = 30

// maxText bounds a name in bytes.
const maxText = 128

// What is something that happened.
type What string

// Things that happen to a person's servers.
const (
	Started What = "started"
	Stopped What = "stopped" // by a person, or by the cluster
	// Restarted is the request; Stopped follows.
	Restarted What = "restarted"
	Culled    What = "culled" // it was not in use
	Aged      What = "aged"   // it reached its maximum age
	Ended     What = "ended"  // by itself
	Failed    What = "failed"
	Deleted   What = "deleted" // its name was given up
)

// Things that happen to a person's account.
const (
	LoggedIn        What = "logged_in"
	SessionEnded    What = "session_ended"
	SessionsEnded   What = "sessions_ended"
	TokenMade       What = "token_made"
	TokenRevoked    What = "token_revoked"
	Refused         What = "refused" // by the directory or provider, at a re-check
	PasswordChanged What = "password_changed"
)

// All are all things that happen.
func All() []What {
	return []What{
		Started, Stopped, Restarted, Culled, Aged, Ended, Failed, Deleted,
		LoggedIn, SessionEnded, SessionsEnded, TokenMade, TokenRevoked, Refused, PasswordChanged,
	}
}

// Event is one thing that happened. The keys are short: every record holds many.
type Event struct {
	At   time.Time `json:"t"` // whole seconds, UTC
	What What      `json:"w"`
	// By is the user who did it; "" for the platform.
	By string `json:"by,omitempty"`
	// Of is the server's name, the token's id or the way of logging in.
	Of string `json:"of,omitempty"`
}

// Trail are events, latest last. A value is never changed.
type Trail []Event

// With returns the trail with one more event, and without the oldest when there are too many.
func (t Trail) With(e Event) Trail {
	e.At = e.At.UTC().Truncate(time.Second)
	e.By, e.Of = shorten(e.By), shorten(e.Of)
	from := max(0, len(t)+1-Most)
	return append(append(make(Trail, 0, len(t)+1-from), t[from:]...), e)
}

// shorten cuts a text to maxText bytes of valid characters.
func shorten(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// actor is the key of who acts in a context.
type actor struct{}

// As returns a context in which user acts.
func As(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, actor{}, user)
}

// Who returns the user who acts in a context, "" for the platform itself.
func Who(ctx context.Context) string {
	name, _ := ctx.Value(actor{}).(string)
	return name
}
