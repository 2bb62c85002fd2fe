package ldaplogin

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Bits of Active Directory's userAccountControl and msDS-User-Account-Control-Computed
// ([MS-ADTS] §2.2.16, §3.1.1.4.5.17).
const (
	accountDisable  = 0x2
	lockout         = 0x10
	passwordExpired = 0x800000
)

// never is what Active Directory writes into a time that does not come.
const never = 1<<63 - 1

// rule is one attribute that may say that its person must not log in. It returns the
// reason, or "". Each fails closed: a value that we cannot read counts as one that does.
type rule struct {
	attribute string
	reason    func(value string, now time.Time) string
}

// rules of the directories that we know. An attribute that an entry lacks, or that the
// service account may not read, says nothing; then the bind alone decides.
func rules() []rule {
	return []rule{
		{"userAccountControl", bits(accountDisable)},                                             // Active Directory
		{"msDS-User-Account-Control-Computed", bits(accountDisable | lockout | passwordExpired)}, // Active Directory
		{"accountExpires", afterFiletime},                                                        // Active Directory
		{"pwdLastSet", mustChange},                                                               // Active Directory
		{"nsAccountLock", unlessFalse},                                                           // 389 Directory Server, FreeIPA
		{"loginDisabled", unlessFalse},                                                           // eDirectory
		{"pwdReset", unlessFalse},                                                                // OpenLDAP, ppolicy
		{"pwdAccountLockedTime", lockedForGood},                                                  // OpenLDAP, ppolicy
		{"pwdEndTime", after},                                                                    // OpenLDAP, ppolicy
		{"pwdStartTime", before},                                                                 // OpenLDAP, ppolicy
		{"passwordExpirationTime", after},                                                        // 389 Directory Server
		{"krbPasswordExpiration", after},                                                         // FreeIPA
		{"krbPrincipalExpiration", after},                                                        // FreeIPA
		{"shadowExpire", afterDay},                                                               // RFC 2307
	}
}

// stateAttributes are what disabled and passwordChanged read; operational ones are
// only sent when they are named.
func stateAttributes() []string {
	names := []string{"pwdChangedTime", "krbLastPwdChange"}
	for _, r := range rules() {
		names = append(names, r.attribute)
	}
	return names
}

// disabled returns why the person of entry must not log in at now, or "". Temporary
// locks after wrong guesses are left to the directory, which refuses the bind: if they
// ended sessions, anyone could throw anyone out by guessing.
func disabled(entry *ldap.Entry, now time.Time) string {
	for _, r := range rules() {
		for _, v := range entry.GetEqualFoldAttributeValues(r.attribute) {
			if reason := r.reason(v, now); reason != "" {
				return r.attribute + ": " + reason
			}
		}
	}
	return ""
}

// passwordChanged returns when the password was set, or zero if the entry does not say.
func passwordChanged(entry *ldap.Entry) time.Time {
	for _, name := range []string{"pwdChangedTime", "krbLastPwdChange"} {
		if t, ok := generalizedTime(entry.GetEqualFoldAttributeValue(name)); ok {
			return t
		}
	}
	if n, err := strconv.ParseInt(entry.GetEqualFoldAttributeValue("pwdLastSet"), 10, 64); err == nil && n > 0 {
		return filetime(n)
	}
	return time.Time{}
}

const unreadable = "cannot be read"

func bits(mask int64) func(string, time.Time) string {
	return func(value string, _ time.Time) string {
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
			return unreadable
		case n&mask&accountDisable != 0:
			return "disabled"
		case n&mask&lockout != 0:
			return "locked"
		case n&mask&passwordExpired != 0:
			return "the password is expired"
		}
		return ""
	}
}

func afterFiletime(value string, now time.Time) string {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return unreadable
	case n != 0 && n != never && !now.Before(filetime(n)):
		return "expired"
	}
	return ""
}

func mustChange(value string, _ time.Time) string {
	if value == "0" {
		return "the password must be changed first"
	}
	return ""
}

func unlessFalse(value string, _ time.Time) string {
	if strings.EqualFold(value, "false") {
		return ""
	}
	return "set"
}

// lockedForGood knows the value that means "until an administrator unlocks it". Any
// other is the moment of the last wrong guess too many, and stays in the entry long
// after the lock has ended.
func lockedForGood(value string, _ time.Time) string {
	if value == "000001010000Z" {
		return "locked"
	}
	return ""
}

func after(value string, now time.Time) string {
	t, ok := generalizedTime(value)
	switch {
	case !ok:
		return unreadable
	case !now.Before(t):
		return "expired"
	}
	return ""
}

func before(value string, now time.Time) string {
	t, ok := generalizedTime(value)
	switch {
	case !ok:
		return unreadable
	case now.Before(t):
		return "not valid yet"
	}
	return ""
}

// afterDay reads days since 1970; -1 is never (shadow(5)).
func afterDay(value string, now time.Time) string {
	n, err := strconv.ParseInt(value, 10, 32)
	switch {
	case err != nil:
		return unreadable
	case n != -1 && now.Unix()/86400 >= n:
		return "expired"
	}
	return ""
}

// filetime counts 100 ns since 1601.
func filetime(n int64) time.Time {
	const to1970 = 11644473600
	return time.Unix(n/1e7-to1970, n%1e7*100)
}

// generalizedTime reads RFC 4517 §3.3.13 in UTC, as directories write it.
func generalizedTime(value string) (time.Time, bool) {
	for _, layout := range []string{"20060102150405Z", "20060102150405.999999999Z", "200601021504Z"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// because returns what the controls of a bind's answer say against the login, to be
// appended to an error, or "". A warning (expires soon, a grace login) is none.
func because(result *ldap.SimpleBindResult) string {
	if result == nil {
		return ""
	}
	for _, c := range result.Controls {
		switch c := c.(type) {
		case *ldap.ControlBeheraPasswordPolicy:
			if c.Error >= 0 {
				return ": " + c.ErrorString
			}
		case *ldap.ControlVChuPasswordMustChange:
			return ": the password must be changed first"
		}
	}
	return ""
}
