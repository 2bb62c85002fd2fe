package telemetry

import (
	"context"
	"log/slog"
)

// Event names what an audit line records. Programs read it, so a name never changes; the
// message beside it is for people. docs/operating.md explains each.
type Event string

// Events of the audit log.
const (
	LoginSucceeded        Event = "login.succeeded"
	LoginFailed           Event = "login.failed"
	LoginRefused          Event = "login.refused"
	LogoutRefused         Event = "logout.refused"
	ProviderLogoutRefused Event = "provider_logout.refused"
	SessionRevoked        Event = "session.revoked"
	AllSessionsRevoked    Event = "all_sessions.revoked"
	UserRefused           Event = "user.refused"
	PasswordChanged       Event = "password.changed"
	TokenCreated          Event = "token.created"
	TokenRevoked          Event = "token.revoked"
	AccessRefused         Event = "access.refused"
	UserDeleted           Event = "user.deleted"
	ServerStarted         Event = "server.started"
	ServerStopped         Event = "server.stopped"
	ServerRestarted       Event = "server.restarted"
	ServerDeleted         Event = "server.deleted"
	ServerLogRead         Event = "server.log_read"
	MessagePosted         Event = "message.posted"
	MessageRemoved        Event = "message.removed"
)

// Events lists all events.
func Events() []Event {
	return []Event{
		LoginSucceeded, LoginFailed, LoginRefused, LogoutRefused, ProviderLogoutRefused, SessionRevoked, AllSessionsRevoked,
		UserRefused, PasswordChanged, TokenCreated, TokenRevoked, AccessRefused, UserDeleted,
		ServerStarted, ServerStopped, ServerRestarted, ServerDeleted, ServerLogRead, MessagePosted, MessageRemoved,
	}
}

// Audit writes one line of the audit log. Text that a client chose must be cut (UserText).
func Audit(ctx context.Context, log *slog.Logger, event Event, msg string, attrs ...any) {
	log.InfoContext(ctx, msg, append([]any{"audit", true, "event", string(event)}, attrs...)...)
}
