package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	// logoutEvent is the event that a logout token must hold (Back-Channel Logout §2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// maxLogoutAge is how old a logout token may be: a provider sends it at once, and
	// retries for a while.
	maxLogoutAge = 10 * time.Minute
	// logoutWait is how long a person who logs out waits for the provider's address.
	logoutWait = 2 * time.Second
)

// Ended is what a logout message says is over.
type Ended struct {
	Issuer string
	// Subject is whose sessions end, SID which one of them; one of both may be empty.
	Subject, SID string
	// Before is the moment before which a session must have begun to be meant: a
	// message that is sent again later ends nothing new.
	Before time.Time
	// Again gives the message's id back when ending the sessions failed, so that the
	// provider may send it once more.
	Again func()
}

// VerifyLogout judges a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).
// Errors: ErrToken, access.ErrUnavailable.
func (p *Provider) VerifyLogout(ctx context.Context, raw string) (Ended, error) {
	ctx, cancel := context.WithTimeout(ctx, p.wholeTimeout)
	defer cancel()
	typ, err := checkForm(raw)
	if err != nil {
		return Ended{}, fmt.Errorf("%w: it %w", ErrToken, err)
	}
	if typ != "" && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "logout+jwt") {
		return Ended{}, fmt.Errorf("%w: it is of another type", ErrToken)
	}
	k, err := p.discover(ctx)
	if err != nil {
		return Ended{}, err
	}
	// Signature, issuer, audience, event, nonce, and that jti, exp and one of sub and
	// sid are there.
	token, err := withKeys(ctx, raw, k.verifier.VerifyLogout)
	if err != nil {
		return Ended{}, err
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return Ended{}, fmt.Errorf("%w: %w", ErrToken, quiet(err))
	}
	if err := checkLogout(c, p.now()); err != nil {
		return Ended{}, fmt.Errorf("%w: it %w", ErrToken, err)
	}
	if !p.logouts.Take("", token.TokenID, p.now().Add(maxLogoutAge+2*skew), p.now()) {
		return Ended{}, fmt.Errorf("%w: it was used already", ErrToken)
	}
	return Ended{
		Issuer: p.cfg.Issuer, Subject: token.Subject, SID: token.SessionID, Before: token.IssuedAt.Add(skew),
		Again: func() { p.logouts.Forget(token.TokenID) },
	}, nil
}

// checkLogout is what the library leaves out: times, and the form of the event.
func checkLogout(c claims, now time.Time) error {
	if err := checkTimes(c, now); err != nil {
		return err
	}
	if iat, _ := c.time("iat"); now.Sub(iat) > maxLogoutAge+skew {
		return errors.New("is too old")
	}
	// By its exact name: the decoder of the library takes "Events" too.
	events, _ := c["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return errors.New("is no logout token")
	}
	if _, ok := c["nonce"]; ok {
		return errors.New("has a nonce, as only ID tokens have")
	}
	if sub, ok := c["sub"]; ok && !validSubject(c.text("sub")) {
		return fmt.Errorf("has a subject of the wrong form (%T)", sub)
	}
	return nil
}

// LogoutURL returns where to send a user who has logged out here, so that the provider
// logs them out too and sends them back to redirect (RP-Initiated Logout §2). hint is
// the sealed ID token of the login, "" when there is none. ok is false when the provider
// offers no such address, or does not say within two seconds.
func (p *Provider) LogoutURL(ctx context.Context, hint, redirect string) (address string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	k, err := p.discover(ctx)
	if err != nil || p.checkAddress(k.EndSession) != nil {
		return "", false
	}
	u, err := url.Parse(k.EndSession)
	if err != nil {
		return "", false
	}
	query := u.Query()
	query.Set("client_id", p.cfg.ClientID)
	query.Set("post_logout_redirect_uri", redirect)
	if raw, err := p.boxes.OpenFor(useHint, hint); err == nil {
		query.Set("id_token_hint", string(raw))
	}
	u.RawQuery = query.Encode()
	return u.String(), true
}
