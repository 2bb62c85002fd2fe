package oidclogin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
)

// StateLifetime is how long a login may take at the provider (O1).
const StateLifetime = 10 * time.Minute

const (
	// maxNext bounds the address to return to, in bytes: it travels in a cookie, of
	// which browsers keep 4 KB.
	maxNext = 1500
	// maxCode bounds the code, in bytes; large providers' have about 1.5 KB.
	maxCode = 8 << 10
	// maxHint bounds the ID token that is kept for the logout, in bytes: it travels in an
	// address, of which servers take about 8 KB.
	maxHint = 6 << 10

	useState   = "oidc login state"
	useRefresh = "oidc refresh token"
	useHint    = "oidc id token hint"
)

// pending is one login under way. The browser carries it, sealed.
type pending struct {
	Provider string `json:"provider"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // PKCE (RFC 7636)
	Redirect string `json:"redirect"`
	Next     string `json:"next,omitempty"`
	Keep     bool   `json:"keep,omitempty"`
	Expires  int64  `json:"exp"`
}

// Login is a login that the provider vouches for.
type Login struct {
	// User is who it is. Name is what the rule makes of the claims; whether this login
	// gets the name is to be claimed with Issuer and Subject.
	User            access.User
	Issuer, Subject string
	// SID is the provider's own session, for its logout message; may be empty.
	SID string
	// Refresh and Hint are the refresh token and the ID token, sealed; may be empty.
	Refresh, Hint string
	// Next is where the person wanted to go, not yet judged.
	Next string
	// Keep says that the user wants to stay logged in.
	Keep bool
}

// Begin returns where to send the browser and the sealed value that it must bring back
// together with the provider's answer to redirect, our callback address. The login may
// take ten minutes. keep says that the user wants to stay logged in. Errors wrap access.ErrUnavailable.
func (p *Provider) Begin(ctx context.Context, redirect, next string, keep bool) (location, sealed string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.wholeTimeout)
	defer cancel()
	k, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	client, err := p.oauth(k, redirect)
	if err != nil {
		return "", "", err
	}
	if len(next) > maxNext {
		next = ""
	}
	login := pending{
		Provider: p.cfg.ID, State: session.RandomID(), Nonce: session.RandomID(), Verifier: oauth2.GenerateVerifier(),
		Redirect: redirect, Next: next, Keep: keep, Expires: p.now().Add(StateLifetime).Unix(),
	}
	plain, err := json.Marshal(login)
	if err != nil {
		return "", "", fmt.Errorf("encode the login's state: %w", err)
	}
	if sealed, err = p.boxes.SealFor(useState, plain); err != nil {
		return "", "", err
	}
	return client.AuthCodeURL(login.State, oidc.Nonce(login.Nonce), oauth2.S256ChallengeOption(login.Verifier)), sealed, nil
}

// Finish judges the provider's answer, the query of the request to our callback address.
// Errors: ErrState, ErrDeclined, ErrToken, ErrBusy, access.ErrNotAllowed,
// access.ErrUnavailable; next is where to try again for.
func (p *Provider) Finish(ctx context.Context, answer url.Values, sealed string) (login Login, next string, err error) {
	began, err := p.open(sealed)
	if err != nil {
		return Login{}, "", err
	}
	code, err := p.judge(began, answer)
	if err != nil {
		return Login{}, began.Next, err
	}
	login, err = p.redeem(ctx, began, code, answer.Has("iss"))
	login.Next, login.Keep = began.Next, began.Keep
	return login, began.Next, err
}

// Ends returns when the login under way in a sealed value ends at the latest. ok is false for
// anything else, and for one that is over.
func (p *Provider) Ends(sealed string) (end time.Time, ok bool) {
	plain, err := p.boxes.OpenFor(useState, sealed)
	var began pending
	if err != nil || json.Unmarshal(plain, &began) != nil {
		return time.Time{}, false
	}
	end = time.Unix(began.Expires, 0)
	return end, p.now().Before(end)
}

func (p *Provider) open(sealed string) (pending, error) {
	plain, err := p.boxes.OpenFor(useState, sealed)
	if err != nil {
		return pending{}, fmt.Errorf("%w: no state", ErrState)
	}
	var began pending
	if json.Unmarshal(plain, &began) != nil || began.Provider != p.cfg.ID {
		return pending{}, fmt.Errorf("%w: the state is another provider's", ErrState)
	}
	if !p.now().Before(time.Unix(began.Expires, 0)) {
		return pending{}, fmt.Errorf("%w: the state has expired", ErrState)
	}
	return began, nil
}

// judge compares the answer with the login that began, and returns the code.
func (p *Provider) judge(began pending, answer url.Values) (string, error) {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return "", fmt.Errorf("%w: several %s parameters", ErrState, name)
		}
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(began.State)) != 1 {
		return "", fmt.Errorf("%w: another state", ErrState)
	}
	if answer.Has("iss") && answer.Get("iss") != p.cfg.Issuer {
		return "", fmt.Errorf("%w: another provider answers (iss)", ErrState)
	}
	if !p.states.Take("", began.State, time.Unix(began.Expires, 0), p.now()) {
		return "", fmt.Errorf("%w: the state was used already", ErrState)
	}
	if answer.Has("error") {
		said := answer.Get("error")
		if !errorCode.MatchString(said) {
			said = "?"
		}
		return "", fmt.Errorf("%w: %s", ErrDeclined, said)
	}
	code := answer.Get("code")
	if code == "" || len(code) > maxCode {
		return "", fmt.Errorf("%w: no code", ErrState)
	}
	return code, nil
}

// redeem exchanges the code and makes the login of what comes back. A provider that
// promises to name itself in the answer and did not is not who answered (RFC 9207 §2.4).
func (p *Provider) redeem(ctx context.Context, began pending, code string, named bool) (Login, error) {
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return Login{}, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, p.wholeTimeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return Login{}, ErrBusy
	}
	k, err := p.discover(ctx)
	if err != nil {
		return Login{}, err
	}
	if k.SendsIssuer && !named {
		return Login{}, fmt.Errorf("%w: the provider does not name itself (iss)", ErrState)
	}
	client, err := p.oauth(k, began.Redirect)
	if err != nil {
		return Login{}, err
	}
	token, err := client.Exchange(oidc.ClientContext(ctx, k.client), code, oauth2.VerifierOption(began.Verifier))
	if err != nil {
		return Login{}, exchangeError(err, ErrToken)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Login{}, fmt.Errorf("%w: there is no ID token", ErrToken)
	}
	id, err := p.verify(ctx, k, raw, expected{clientID: p.cfg.ClientID, nonce: began.Nonce})
	if err != nil {
		return Login{}, err
	}
	user, err := p.describe(ctx, k, token, id)
	if err != nil {
		return Login{}, err
	}
	login := Login{User: user, Issuer: p.cfg.Issuer, Subject: id.text("sub"), SID: id.text("sid")}
	if len(raw) <= maxHint { // else the provider asks whether to log out
		if login.Hint, err = p.boxes.SealFor(useHint, []byte(raw)); err != nil {
			return Login{}, err
		}
	}
	login.Refresh, err = p.sealRefresh(token.RefreshToken)
	return login, err
}

// verify returns the claims of an ID token that is what it must be; everything else is
// ErrToken.
func (p *Provider) verify(ctx context.Context, k *known, raw string, want expected) (claims, error) {
	if _, err := checkForm(raw); err != nil {
		return nil, fmt.Errorf("%w: it %w", ErrToken, err)
	}
	token, err := withKeys(ctx, raw, k.verifier.Verify)
	if err != nil {
		return nil, err
	}
	var id claims
	if err := token.Claims(&id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, quiet(err))
	}
	if err := want.check(id, p.now()); err != nil {
		return nil, fmt.Errorf("%w: it %w", ErrToken, err)
	}
	return id, nil
}

// describe makes the user, asking for the user info when the ID token says too little.
func (p *Provider) describe(ctx context.Context, k *known, token *oauth2.Token, id claims) (access.User, error) {
	if p.cfg.incomplete(id) && k.UserInfo != "" && token.AccessToken != "" {
		info, err := p.userInfo(ctx, k, token.AccessToken, id.text("sub"))
		if err != nil {
			return access.User{}, err
		}
		id = p.cfg.complete(id, info)
	}
	return p.cfg.person(id)
}

// userInfo asks who the access token is for (Core §5.3). An answer about another subject
// is a token that was swapped.
func (p *Provider) userInfo(ctx context.Context, k *known, accessToken, subject string) (claims, error) {
	if err := p.checkAddress(k.UserInfo); err != nil {
		return nil, fmt.Errorf("%w: user info: %w", access.ErrUnavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.UserInfo, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: user info: %w", access.ErrUnavailable, err)
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	req.Header.Set("Accept", "application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: user info: %w", access.ErrUnavailable, quiet(err))
	}
	defer res.Body.Close() //nolint:errcheck // only read
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%w: the provider refuses the user info with %d", access.ErrNotAllowed, res.StatusCode)
	case res.StatusCode != http.StatusOK || kind != "application/json":
		return nil, fmt.Errorf("%w: user info: %d %.50q", access.ErrUnavailable, res.StatusCode, kind)
	}
	var info claims
	if err := json.NewDecoder(res.Body).Decode(&info); err != nil {
		return nil, fmt.Errorf("%w: user info: %w", access.ErrUnavailable, quiet(err))
	}
	if info.text("sub") != subject {
		return nil, fmt.Errorf("%w: the user info is about somebody else", ErrToken)
	}
	return info, nil
}
