package oidclogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perijove/perijove/pkg/server/access"
)

// ErrNoRefresh: there is nothing to ask with. The provider gave no refresh token, or it
// was sealed with a key that is gone, or the provider is no longer configured.
var ErrNoRefresh = errors.New("no refresh token")

// ErrRevoked: the provider takes the refresh token no longer. Alone it says nothing about the
// user: the provider's session that the token is of may have ended.
var ErrRevoked = errors.New("the refresh token is revoked")

// Offline reports whether the provider is asked for refresh tokens that outlive its own
// sessions (Core §11).
func (p *Provider) Offline() bool { return slices.Contains(p.cfg.Scopes, oidc.ScopeOfflineAccess) }

// kept is a refresh token as it is stored, sealed.
type kept struct {
	Provider string `json:"provider"`
	Token    string `json:"token"`
}

func (p *Provider) sealRefresh(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	plain, err := json.Marshal(kept{Provider: p.cfg.ID, Token: token})
	if err != nil {
		return "", fmt.Errorf("encode refresh token: %w", err)
	}
	return p.boxes.SealFor(useRefresh, plain)
}

// Refresh asks the provider about the person again, with the sealed refresh token of an
// earlier login of subject. user.Name is what the rule makes of the claims today and may
// differ from the name that the login claimed. next is the refresh token to keep from
// now on, sealed; it is valid even when err is not nil, since providers take a refresh
// token once. Errors: ErrNoRefresh, access.ErrNotAllowed when the provider (then ErrRevoked
// too) or the rules say no, access.ErrUnavailable and ErrToken when nothing is known.
func (p *Provider) Refresh(ctx context.Context, sealed, subject string) (user access.User, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.wholeTimeout)
	defer cancel()
	var old kept
	plain, err := p.boxes.OpenFor(useRefresh, sealed)
	if err != nil || json.Unmarshal(plain, &old) != nil || old.Provider != p.cfg.ID {
		return access.User{}, sealed, ErrNoRefresh
	}
	k, err := p.discover(ctx)
	if err != nil {
		return access.User{}, sealed, err
	}
	client, err := p.oauth(k, "")
	if err != nil {
		return access.User{}, sealed, err
	}
	token, err := client.TokenSource(oidc.ClientContext(ctx, k.client), &oauth2.Token{RefreshToken: old.Token}).Token()
	if err != nil {
		return access.User{}, sealed, exchangeError(err, fmt.Errorf("%w: %w", access.ErrNotAllowed, ErrRevoked))
	}
	next = sealed
	if token.RefreshToken != "" && token.RefreshToken != old.Token {
		if next, err = p.sealRefresh(token.RefreshToken); err != nil {
			return access.User{}, sealed, err
		}
	}
	user, err = p.again(ctx, k, token, subject)
	return user, next, err
}

// again makes the user of a refreshed login. A provider need not send an ID token again
// (Core §12.2); then the user info says everything.
func (p *Provider) again(ctx context.Context, k *known, token *oauth2.Token, subject string) (access.User, error) {
	if raw, ok := token.Extra("id_token").(string); ok {
		id, err := p.verify(ctx, k, raw, expected{clientID: p.cfg.ClientID, subject: subject})
		if err != nil {
			return access.User{}, err
		}
		return p.describe(ctx, k, token, id)
	}
	if k.UserInfo == "" {
		return access.User{}, fmt.Errorf("%w: a refreshed login says nothing about the person", access.ErrUnavailable)
	}
	return p.describe(ctx, k, token, claims{"sub": subject})
}
