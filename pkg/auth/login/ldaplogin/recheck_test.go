package ldaplogin

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestL10_Attributes: what each directory writes into its entries, at noon.
func TestL10_Attributes(t *testing.T) {
	t.Parallel()
	windows := func(at time.Time) string { return strconv.FormatInt((at.Unix()+11644473600)*1e7, 10) }
	day := func(at time.Time) string { return strconv.FormatInt(at.Unix()/86400, 10) }
	for _, c := range []struct{ attribute, value, reason string }{
		{"userAccountControl", "512", ""},
		{"userAccountControl", "514", "disabled"},
		{"USERACCOUNTCONTROL", "66050", "disabled"},
		{"userAccountControl", "-2147483134", "disabled"},
		{"userAccountControl", "8389120", ""}, // the stored attribute never tells the age
		{"userAccountControl", "yes", unreadable},
		{"userAccountControl", "", unreadable},
		{"msDS-User-Account-Control-Computed", "0", ""},
		{"msDS-User-Account-Control-Computed", "16", "locked"},
		{"msDS-User-Account-Control-Computed", "8388608", "the password is expired"},
		{"accountExpires", "0", ""},
		{"accountExpires", "9223372036854775807", ""},
		{"accountExpires", windows(noon), "expired"},
		{"accountExpires", windows(noon.Add(time.Second)), ""},
		{"accountExpires", "soon", unreadable},
		{"pwdLastSet", "0", "the password must be changed first"},
		{"pwdLastSet", windows(noon), ""},
		{"nsAccountLock", "true", "set"},
		{"nsAccountLock", "TRUE", "set"},
		{"nsAccountLock", "False", ""},
		{"nsAccountLock", "", "set"},
		{"loginDisabled", "TRUE", "set"},
		{"pwdReset", "TRUE", "set"},
		{"pwdReset", "FALSE", ""},
		{"pwdAccountLockedTime", "000001010000Z", "locked"},
		{"pwdAccountLockedTime", "20261121115900Z", ""},
		{"pwdEndTime", "20261121120000Z", "expired"},
		{"pwdEndTime", "20261121120001.5Z", ""},
		{"pwdEndTime", "tomorrow", unreadable},
		{"pwdStartTime", "20261121120001Z", "not valid yet"},
		{"pwdStartTime", "202611211200Z", ""},
		{"pwdStartTime", "x", unreadable},
		{"passwordExpirationTime", "20380119031407Z", ""},
		{"krbPasswordExpiration", "20261121000000Z", "expired"},
		{"krbPrincipalExpiration", "20261121000000Z", "expired"},
		{"shadowExpire", "-1", ""},
		{"shadowExpire", "0", "expired"},
		{"shadowExpire", day(noon), "expired"},
		{"shadowExpire", day(noon.AddDate(0, 0, 1)), ""},
		{"shadowExpire", "", unreadable},
		{"description", "TRUE", ""},
	} {
		e := entry("uid=a", map[string][]string{"uid": {"a"}, c.attribute: {c.value}})
		want := c.reason
		if got := disabled(e, noon); (got == "") != (want == "") || !strings.HasSuffix(got, want) {
			t.Errorf("%s=%s: %q, want %q", c.attribute, c.value, got, want)
		}
	}
	if got := disabled(entry("uid=a", map[string][]string{"nsAccountLock": {"false", "true"}}), noon); got == "" {
		t.Error("the second value is not looked at")
	}
}

func TestV4_PasswordChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		attribute, value string
		want             time.Time
	}{
		{"pwdChangedTime", "20261121120000Z", noon},
		{"krbLastPwdChange", "20261121120000Z", noon},
		{"pwdLastSet", strconv.FormatInt((noon.Unix()+11644473600)*1e7, 10), noon},
		{"pwdLastSet", "0", time.Time{}},
		{"pwdChangedTime", "x", time.Time{}},
		{"uid", "a", time.Time{}},
	} {
		if got := passwordChanged(entry("uid=a", map[string][]string{c.attribute: {c.value}})); !got.Equal(c.want) {
			t.Errorf("%s=%s: %v", c.attribute, c.value, got)
		}
	}
}

func TestL10_BindControls(t *testing.T) {
	t.Parallel()
	policy := func(expire, grace int64, fault int8) ldap.Control {
		c := ldap.NewControlBeheraPasswordPolicy()
		c.Expire, c.Grace, c.Error = expire, grace, fault
		c.ErrorString = ldap.BeheraPasswordPolicyErrorMap[fault]
		return c
	}
	for name, c := range map[string]struct {
		control ldap.Control
		refused bool
	}{
		"fine":                   {policy(-1, -1, -1), false},
		"expires soon":           {policy(60, -1, -1), false},
		"grace login":            {policy(-1, 2, -1), false},
		"expired":                {policy(-1, -1, ldap.BeheraPasswordExpired), true},
		"locked":                 {policy(-1, -1, ldap.BeheraAccountLocked), true},
		"must be changed":        {policy(-1, -1, ldap.BeheraChangeAfterReset), true},
		"must be changed (Vchu)": {&ldap.ControlVChuPasswordMustChange{MustChange: true}, true},
		"something else":         {ldap.NewControlString("1.2.3", false, ""), false},
	} {
		if got := because(&ldap.SimpleBindResult{Controls: []ldap.Control{c.control}}); (got != "") != c.refused {
			t.Errorf("%s: %q", name, got)
		}
	}
	if because(nil) != "" {
		t.Error("no result")
	}
}

// FuzzStanding: no value makes it panic, and none that cannot be read lets anybody in.
func FuzzStanding(f *testing.F) {
	for _, r := range rules() {
		f.Add(r.attribute, "0")
	}
	f.Fuzz(func(t *testing.T, attribute, value string) {
		e := entry("uid=a", map[string][]string{attribute: {value}})
		reason := disabled(e, noon)
		passwordChanged(e)
		if strings.EqualFold(attribute, "nsAccountLock") && !strings.EqualFold(value, "false") && reason == "" {
			t.Errorf("nsAccountLock=%q lets in", value)
		}
	})
}
