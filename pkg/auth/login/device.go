package login

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/login/ratelimit"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/cookies"
)

const (
	// useDevice is what the value of the device cookie is sealed for.
	useDevice = "browser that logged in"
	// deviceLifetime is how long a browser counts as known after a login.
	deviceLifetime = 180 * 24 * time.Hour
)

// throttled says when a person may try again.
type throttled struct{ wait time.Duration }

func (t throttled) Error() string {
	return fmt.Sprintf("too many failed logins; free again in %v", t.wait.Round(time.Second))
}

// attempt describes a login for counting it.
func (p *Pages) attempt(r *http.Request, username string) ratelimit.Attempt {
	// An address that cannot be read stays zero; all such share one count.
	source, _ := netip.ParseAddr(r.Header.Get(contract.HeaderClientAddress))
	return ratelimit.Attempt{Account: username, Source: source, Device: p.device(r, ratelimit.Account(username))}
}

// device returns the id of this browser if it logged in to account before, or "".
func (p *Pages) device(r *http.Request, account string) string {
	value, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieDevice))
	if err != nil {
		return ""
	}
	plain, err := p.sessions.OpenFor(useDevice, value)
	if err != nil {
		return ""
	}
	fields := strings.SplitN(string(plain), " ", 3)
	if len(fields) != 3 || fields[2] != account {
		return ""
	}
	since, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || p.Now().Sub(time.Unix(since, 0)) > deviceLifetime {
		return ""
	}
	return fields[1]
}

// remember lets this browser's person in even while others guess the password: their
// failures and this browser's are counted apart. The cookie opens nothing.
func (p *Pages) remember(w http.ResponseWriter, a ratelimit.Attempt) {
	if a.Device == "" {
		a.Device = session.RandomID()
	}
	value, err := p.sessions.SealFor(useDevice, fmt.Appendf(nil, "%d %s %s", p.Now().Unix(), a.Device, ratelimit.Account(a.Account)))
	if err != nil {
		return // the login itself does not need it
	}
	w.Header().Add("Set-Cookie", p.jar().Keep(contract.CookieDevice, value, contract.PathLogin, deviceLifetime))
}
