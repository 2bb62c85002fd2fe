package check

import (
	"errors"
	"time"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/cookies"
)

// bySession returns the live session in the request's one session cookie, its user as the
// directory described them last.
func (d *Decider) bySession(req Request, now time.Time) (session.Session, error) {
	value, err := cookies.One(req.Cookie, d.jar().Name(contract.CookieSession))
	if err != nil {
		return session.Session{}, err
	}
	s, err := d.sessions.Open(value, now)
	if err != nil {
		return session.Session{}, err
	}
	return d.alive(s)
}

// bySessionOrPass returns the session behind a request for a server: by the session's own
// cookie if a client sends it there (browsers do not, its path is /hub/), else by the pass.
// renew says that the browser should get a fresh pass.
func (d *Decider) bySessionOrPass(req Request, now time.Time) (s session.Session, renew bool, err error) {
	if s, err = d.bySession(req, now); err == nil {
		return s, true, nil
	}
	if errors.Is(err, cookies.ErrDuplicate) {
		return session.Session{}, false, err
	}
	token, err := cookies.One(req.Cookie, d.jar().Name(contract.CookiePass))
	if err != nil {
		return session.Session{}, false, err
	}
	p, state := d.genuine.Verify(token, now)
	if state == pass.Bad || p.Owner != req.Owner {
		return session.Session{}, false, session.ErrInvalid
	}
	s, err = d.alive(p.Session)
	return s, state == pass.Expired, err
}

// alive returns s with its user as the directory described them last, or an error when the
// session has ended before its time.
func (d *Decider) alive(s session.Session) (session.Session, error) {
	user, ok := d.live.User(s)
	if !ok {
		return session.Session{}, session.ErrInvalid
	}
	s.User = user
	return s, nil
}

func (d *Decider) jar() cookies.Jar {
	return cookies.Jar{Secure: d.site.Secure(), PerUser: d.site.PerUser()}
}

// identityHeaders say who the caller is, percent-encoded so that no name can end a header
// line. An empty value would not overwrite anything in Envoy, hence the name.
func identityHeaders(u access.User) []Header {
	if u.DisplayName == "" {
		u.DisplayName = u.Name
	}
	return []Header{
		{contract.HeaderUser, contract.EncodeHeader(u.Name)},
		{contract.HeaderDisplayName, contract.EncodeHeader(u.DisplayName)},
	}
}

// identify tells the platform's own services who the caller is, groups included: the spawner
// decides by them. Servers are not told the groups.
func (v *Verdict) identify(u access.User) {
	v.Set = append(v.Set, identityHeaders(u)...)
	groups := contract.EncodeHeaders(u.Groups)
	if groups == "" { // an empty value would not overwrite anything in Envoy
		v.Remove = append(v.Remove, contract.HeaderGroups)
		return
	}
	v.Set = append(v.Set, Header{contract.HeaderGroups, groups})
}

// setAdmin tells the platform's own services whether the caller acts as an administrator.
func (v *Verdict) setAdmin(admin bool) {
	if admin {
		v.Set = append(v.Set, Header{contract.HeaderAdmin, "true"})
	} else {
		v.Remove = append(v.Remove, contract.HeaderAdmin)
	}
}
