package handoff

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/perijove/perijove/pkg/auth/once"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
)

const (
	// use is what codes are sealed for.
	use = "login handed over to a person's host"
	// lifetime of a code; it takes one redirect.
	lifetime = 30 * time.Second
	// maxUsed bounds how many used codes are remembered, perUser how many of one user: it is
	// how often one may go to servers' hosts within a minute.
	maxUsed = 100_000
	perUser = 100
)

// How a code fails.
var (
	// ErrForeign: it is not ours, or not for this owner.
	ErrForeign = errors.New("not a code of ours")
	// ErrSpent: it is ours but too old, was used, or is another browser's.
	ErrSpent = errors.New("the code is spent or another browser's")
)

// code is what is sealed.
type code struct {
	ID            string `json:"jti"`
	Owner         string `json:"owner"`
	State         string `json:"state"`
	Path          string `json:"path"`
	Made          int64  `json:"iat_ms"`
	User          string `json:"sub"`
	DisplayName   string `json:"name,omitempty"`
	Admin         bool   `json:"admin,omitempty"`
	SessionID     string `json:"sid"`
	SinceMillis   int64  `json:"since_ms"`
	ExpiresMillis int64  `json:"exp_ms"`
}

// Answer returns where to send the browser that has w and the session s: back, with a code.
func Answer(ring *session.Ring, site origin.Site, w ReturnTo, s session.Session, now time.Time) (location string, err error) {
	plain, err := json.Marshal(code{
		ID: session.RandomID(), Owner: w.Owner, State: w.State, Path: w.Path, Made: now.UnixMilli(),
		User: s.User.Name, DisplayName: s.User.DisplayName, Admin: s.User.Admin,
		SessionID: s.ID, SinceMillis: s.Since.UnixMilli(), ExpiresMillis: s.Expires.UnixMilli(),
	})
	if err != nil {
		return "", fmt.Errorf("encode code: %w", err)
	}
	sealed, err := ring.SealFor(use, plain)
	if err != nil {
		return "", err
	}
	return w.callback(site, url.Values{"code": {sealed}}), nil
}

// Redeemer redeems codes, each once. Replicas do not share what was used; the nonce's cookie,
// which goes with the code, is what keeps a code from working at another one.
type Redeemer struct {
	ring *session.Ring
	used *once.Set
}

// NewRedeemer returns a Redeemer for codes that ring sealed.
func NewRedeemer(ring *session.Ring) *Redeemer {
	return &Redeemer{ring: ring, used: once.New(once.Limits{All: maxUsed, PerOwner: perUser})}
}

// Redeem returns the session behind a code for owner and where the browser wanted to go.
// nonce is what the browser's cookie holds. With ErrSpent path is still where it wanted to go.
func (d *Redeemer) Redeem(value, owner, nonce string, now time.Time) (s session.Session, path string, err error) {
	plain, err := d.ring.OpenFor(use, value)
	if err != nil {
		return session.Session{}, "", ErrForeign
	}
	var c code
	if err := json.Unmarshal(plain, &c); err != nil || c.Owner != owner || c.ID == "" || c.SessionID == "" {
		return session.Session{}, "", ErrForeign
	}
	made := time.UnixMilli(c.Made)
	// Replicas' clocks differ by little; a code from the future is not tolerated beyond that.
	fresh := !now.After(made.Add(lifetime)) && !made.After(now.Add(lifetime))
	if !fresh || nonce == "" || !hmac.Equal([]byte(digest(nonce)), []byte(c.State)) || !d.used.Take(c.User, c.ID, made.Add(2*lifetime), now) {
		return session.Session{}, c.Path, ErrSpent
	}
	return session.Session{
		User: access.User{Name: c.User, DisplayName: c.DisplayName, Admin: c.Admin},
		ID:   c.SessionID, Since: time.UnixMilli(c.SinceMillis), Expires: time.UnixMilli(c.ExpiresMillis),
	}, c.Path, nil
}
