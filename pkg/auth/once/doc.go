// Package once owns the memory of values that may be used one time only: states of logins,
// codes of a hand-off, ids of logout messages.
//
// It is one replica's memory, and it is bounded. Each owner may have a bound of its own, so
// that a user who fills it is the only one who is refused. When the whole is full, the oldest
// value is forgotten: a stranger who fills it must not keep others from logging in. So a Set
// is never the only guard: its issuer refuses a used code, or the code needs a cookie.
package once
