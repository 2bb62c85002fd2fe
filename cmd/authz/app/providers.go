package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
)

// hasLDAP reports whether there is a directory. Without providers there must be one, so
// that an empty section is reported and not passed over.
func (c Config) hasLDAP() bool {
	return len(c.OIDC) == 0 || !reflect.ValueOf(c.LDAP).IsZero()
}

// providers makes what logs people in besides the directory. None is asked yet: a
// provider that is down must not keep the service from starting (O14).
func (c Config) providers(boxes *session.Ring) []*oidclogin.Provider {
	var all []*oidclogin.Provider
	for _, cfg := range c.OIDC {
		all = append(all, oidclogin.New(cfg, boxes, time.Now))
	}
	return all
}

// recheckAt asks the provider that an account belongs to about its person again. Where
// there is nothing to ask with, what is known holds until the session's lifetime ends.
func recheckAt(providers []*oidclogin.Provider) liveness.Rechecker {
	return func(ctx context.Context, a account.Account, _ time.Time) (liveness.Answer, error) {
		known := liveness.Answer{User: access.User{Name: a.Name, DisplayName: a.DisplayName, Groups: a.Groups, Admin: a.Admin}}
		for _, provider := range providers {
			for _, link := range a.Links {
				if link.Issuer != provider.Issuer() {
					continue
				}
				user, refresh, err := provider.Refresh(ctx, a.Refresh, link.Subject)
				if errors.Is(err, oidclogin.ErrNoRefresh) {
					return known, nil
				}
				if errors.Is(err, oidclogin.ErrRevoked) {
					err = fmt.Errorf("%w: %w", liveness.ErrTokenRefused, err)
				}
				user.Name = a.Name // the provider may call them something else today
				return liveness.Answer{User: user, Refresh: refresh}, err
			}
		}
		// The provider that let this user in is no longer configured.
		return liveness.Answer{}, access.ErrNotAllowed
	}
}
