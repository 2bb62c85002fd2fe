package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
)

// maxLogoutMessage bounds a provider's logout message in bytes (V6).
const maxLogoutMessage = 64 << 10

// providerLogout returns where the logout of these sessions goes on, nil for nowhere:
// a user who leaves a shared computer wants the provider's session to end too, or the
// next person is one click away from theirs. It must be asked before the sessions end.
func (p *Pages) providerLogout(r *http.Request, sessions []session.Session) *web.Provider {
	for _, s := range sessions {
		if s.Method != methodOIDC {
			continue
		}
		ctx, cancel := context.WithTimeout(r.Context(), tellReplicas)
		defer cancel()
		// Without Kubernetes the provider's session goes on; ours ends all the same.
		recorded, _ := p.keeper.Session(ctx, s.User.Name, s.ID)
		for _, provider := range p.Providers {
			if provider.ID() != recorded.Provider {
				continue
			}
			if address, ok := provider.LogoutURL(ctx, recorded.IDTokenHint, p.ownOrigin(r)+contract.PathLogout); ok {
				return &web.Provider{Name: provider.Name(), URL: address}
			}
		}
	}
	return nil
}

// backChannelLogout takes a provider's message that a user has logged out there
// (OpenID Connect Back-Channel Logout 1.0 §2.5-2.8).
func (p *Pages) backChannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	provider, ok := p.provider(w, r)
	if !ok {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		logoutAnswer(w, http.StatusMethodNotAllowed, "invalid_request")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutMessage)
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		logoutAnswer(w, http.StatusBadRequest, "invalid_request")
		return
	}
	ended, err := provider.VerifyLogout(r.Context(), r.PostForm.Get("logout_token"))
	switch {
	case errors.Is(err, oidclogin.ErrToken):
		p.audit(r, telemetry.ProviderLogoutRefused, methodOIDC, "", "provider's logout refused", "provider", provider.ID(), "error", telemetry.UserText(err.Error()))
		logoutAnswer(w, http.StatusBadRequest, "invalid_request")
		return
	case err != nil:
		p.Log.ErrorContext(r.Context(), "a provider's logout message cannot be judged", "provider", provider.ID(), "error", err)
		logoutAnswer(w, http.StatusServiceUnavailable, "temporarily_unavailable")
		return
	}
	if err := p.endFor(r, provider.ID(), ended); err != nil {
		ended.Again()
		p.Log.ErrorContext(r.Context(), "sessions that a provider ended are over on this replica only, for now", "provider", provider.ID(), "error", err)
		logoutAnswer(w, http.StatusServiceUnavailable, "temporarily_unavailable")
		return
	}
	w.WriteHeader(http.StatusOK)
}

// endFor ends the sessions that the message means. That there are none is fine: they may
// have ended by themselves.
func (p *Pages) endFor(r *http.Request, provider string, ended oidclogin.Ended) error {
	account, ok := p.loggedOut(provider, ended)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordWait)
	defer cancel()
	var all []error
	for _, s := range account.Sessions {
		if !meant(s, provider, ended) {
			continue
		}
		all = append(all, p.keeper.EndSession(ctx, account.Name, s))
		p.audit(r, telemetry.SessionRevoked, methodOIDC, account.Name, "logout by the provider", "provider", provider)
	}
	return errors.Join(all...)
}

func (p *Pages) loggedOut(provider string, ended oidclogin.Ended) (account.Account, bool) {
	if ended.Subject != "" {
		return p.keeper.ByLink(identity.Link{Issuer: ended.Issuer, Subject: ended.Subject})
	}
	return p.keeper.ByProviderSession(provider, ended.SID)
}

// meant reports whether the provider's message is about session s.
func meant(s account.Session, provider string, ended oidclogin.Ended) bool {
	return s.Provider == provider && !s.Since.After(ended.Before) && (ended.SID == "" || s.ProviderSID == ended.SID)
}

func logoutAnswer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // the provider went away
}
