package oidclogin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

func TestO3_Nonce(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	var earlier string
	op.Lie(hostileop.Switches{Claims: func(c map[string]any) { earlier = c["nonce"].(string) }})
	if _, err := login(t, p, op); err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(map[string]any){
		"missing": func(c map[string]any) { delete(c, "nonce") },
		"empty":   func(c map[string]any) { c["nonce"] = "" },
		"other":   func(c map[string]any) { c["nonce"] = session.RandomID() },
		"reused":  func(c map[string]any) { c["nonce"] = earlier },
		"a list":  func(c map[string]any) { c["nonce"] = []any{c["nonce"]} },
	} {
		refused(t, p, op, name, hostileop.Switches{Claims: lie}, ErrToken)
	}
}

func TestO4_Audience(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	for name, c := range map[string]struct {
		aud any
		azp any
		ok  bool
	}{
		"other":                      {"evil", nil, false},
		"ours and another, azp evil": {[]any{hostileop.ClientID, "evil"}, "evil", false},
		"ours and another, no azp":   {[]any{hostileop.ClientID, "evil"}, nil, false},
		"ours, azp evil":             {hostileop.ClientID, "evil", false},
		"ours, azp a list":           {hostileop.ClientID, []any{hostileop.ClientID}, false},
		"none":                       {nil, nil, false},
		"ours and another, azp us":   {[]any{hostileop.ClientID, "other"}, hostileop.ClientID, true},
		"ours in a list":             {[]any{hostileop.ClientID}, nil, true},
	} {
		lie := hostileop.Switches{Claims: func(m map[string]any) {
			m["aud"] = c.aud
			if c.azp != nil {
				m["azp"] = c.azp
			}
		}}
		if !c.ok {
			refused(t, p, op, name, lie, ErrToken)
			continue
		}
		op.Lie(lie)
		if _, err := login(t, p, op); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestO5_Signatures(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	strangers := hostileop.Start(t, newClock().now)
	var last map[string]any
	keep := func(c map[string]any) { last = c }
	resign := func(f func(map[string]any) string) hostileop.Switches {
		return hostileop.Switches{Claims: keep, Token: func(string) string { return f(last) }}
	}
	for name, lie := range map[string]hostileop.Switches{
		"alg none":                 {Token: unsigned},
		"alg none, signature left": {Token: func(raw string) string { return unsigned(raw) + raw[strings.LastIndex(raw, ".")+1:] }},
		"HS256 with the RSA key": resign(func(c map[string]any) string {
			return op.SignWith(jose.HS256, op.RSA.N.Bytes(), "rsa", c, nil)
		}),
		"ES256 under the RSA key's id": resign(func(c map[string]any) string { return op.SignWith(jose.ES256, op.EC, "rsa", c, nil) }),
		"RS256 under the EC key's id":  resign(func(c map[string]any) string { return op.SignWith(jose.RS256, op.RSA, "ec", c, nil) }),
		"right id, other key":          resign(func(c map[string]any) string { return strangers.Sign("rsa", c, nil) }),
		"unknown id":                   resign(func(c map[string]any) string { return op.SignWith(jose.RS256, strangers.RSA, "x", c, nil) }),
		"its own key in the header": resign(func(c map[string]any) string {
			return op.SignWith(jose.RS256, strangers.RSA, "rsa", c, map[string]any{"jwk": jose.JSONWebKey{Key: strangers.RSA.Public()}})
		}),
		"jku": resign(func(c map[string]any) string {
			return op.Sign("rsa", c, map[string]any{"jku": strangers.Issuer() + "/keys"})
		}),
		"x5u": resign(func(c map[string]any) string {
			return op.Sign("rsa", c, map[string]any{"x5u": strangers.Issuer() + "/keys"})
		}),
		"crit":               resign(func(c map[string]any) string { return op.Sign("rsa", c, map[string]any{"crit": []string{"exp"}}) }),
		"another issuer":     {Claims: func(c map[string]any) { c["iss"] = strangers.Issuer() }},
		"no issuer":          {Claims: func(c map[string]any) { delete(c, "iss") }},
		"changed afterwards": {Token: func(raw string) string { return strings.Replace(raw, ".e", ".f", 1) }},
		"cut":                {Token: func(raw string) string { return raw[:len(raw)-8] }},
		"no ID token":        {Answer: func(a map[string]any) { delete(a, "id_token") }},
		"a number":           {Answer: func(a map[string]any) { a["id_token"] = 7 }},
	} {
		refused(t, p, op, name, lie, ErrToken)
	}
	if strangers.Asked("/keys") != 0 {
		t.Error("an address that a token named was fetched")
	}
	op.Lie(resign(func(c map[string]any) string { return op.Sign("ec", c, nil) }))
	if _, err := login(t, p, op); err != nil {
		t.Errorf("ES256, honestly: %v", err)
	}
}

// unsigned takes the signature off a token and says so in the header.
func unsigned(raw string) string {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	return "eyJhbGciOiJub25lIn0." + payload + "."
}

func TestO6_Times(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	for _, x := range []struct {
		claim  string
		offset time.Duration
		ok     bool
	}{
		{"exp", -59 * time.Second, true}, {"exp", -61 * time.Second, false}, {"exp", -time.Hour, false},
		{"iat", 59 * time.Second, true}, {"iat", 61 * time.Second, false}, {"iat", 24 * time.Hour, false},
		{"nbf", 59 * time.Second, true}, {"nbf", 61 * time.Second, false}, {"nbf", 6 * time.Minute, false},
	} {
		lie := hostileop.Switches{Claims: func(m map[string]any) { m[x.claim] = c.now().Add(x.offset).Unix() }}
		if !x.ok {
			refused(t, p, op, x.claim+" "+x.offset.String(), lie, ErrToken)
			continue
		}
		op.Lie(lie)
		if _, err := login(t, p, op); err != nil {
			t.Errorf("%s %v: %v", x.claim, x.offset, err)
		}
	}
	for name, lie := range map[string]func(map[string]any){
		"no exp":           func(m map[string]any) { delete(m, "exp") },
		"no iat":           func(m map[string]any) { delete(m, "iat") },
		"no sub":           func(m map[string]any) { delete(m, "sub") },
		"exp 0":            func(m map[string]any) { m["exp"] = 0 },
		"exp in ms":        func(m map[string]any) { m["exp"] = c.now().Add(time.Hour).UnixMilli() },
		"exp as text":      func(m map[string]any) { m["exp"] = "4102444800" },
		"exp without end":  func(m map[string]any) { m["exp"] = 1e300 },
		"nbf as text":      func(m map[string]any) { m["nbf"] = "now" },
		"an empty sub":     func(m map[string]any) { m["sub"] = "" },
		"a long sub":       func(m map[string]any) { m["sub"] = strings.Repeat("s", 256) },
		"sub of controls":  func(m map[string]any) { m["sub"] = "a\x00b" },
		"sub is a number":  func(m map[string]any) { m["sub"] = 7 },
		"sub is not ASCII": func(m map[string]any) { m["sub"] = "\u0430lice" },
	} {
		refused(t, p, op, name, hostileop.Switches{Claims: lie}, ErrToken)
	}
}

// TestO12_NobodyFollowsAClaimSource: the overage's address is a stranger's.
func TestO12_NobodyFollowsAClaimSource(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	stranger := hostileop.Start(t, newClock().now)
	overage := func(c map[string]any) {
		delete(c, "groups")
		c["_claim_names"] = map[string]any{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": stranger.Issuer() + "/groups"}}
	}
	refused(t, p, op, "overage", hostileop.Switches{Claims: overage, UserInfo: overage}, access.ErrNotAllowed)
	if stranger.Asked("/groups") != 0 {
		t.Error("the claim source was fetched")
	}
	op.Lie(hostileop.Switches{Claims: overage})
	if l, err := login(t, p, op); err != nil || len(l.User.Groups) != 1 {
		t.Errorf("resolved by the user info: %+v %v", l.User, err)
	}
	refused(t, p, op, "user info about somebody else",
		hostileop.Switches{Claims: overage, UserInfo: func(c map[string]any) { c["sub"] = "other" }}, ErrToken)
	refused(t, p, op, "no groups at all",
		hostileop.Switches{Claims: func(c map[string]any) { delete(c, "groups") }, UserInfo: func(c map[string]any) { delete(c, "groups") }}, access.ErrNotAllowed)
}

func TestO16_TokensAreBounded(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	say := func(raw string) hostileop.Switches {
		return hostileop.Switches{Token: func(string) string { return raw }}
	}
	for name, raw := range map[string]string{
		"300 KB of dots": strings.Repeat(".", 300<<10),
		"many parts":     strings.Repeat("a.", 1000) + "a",
		"a JWE":          "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00iLCJ6aXAiOiJERUYifQ.a.b.c.d",
		"200 KB":         "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("A", 200<<10) + ".AAAA",
		"empty":          "",
		"JSON":           `{"payload":"e30","signatures":[]}`,
	} {
		refused(t, p, op, name, say(raw), ErrToken)
	}
	refused(t, p, op, "1 MB", say(strings.Repeat(".", 1<<20)), access.ErrUnavailable)
	deep := json.RawMessage(strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000))
	refused(t, p, op, "deep JSON", hostileop.Switches{Claims: func(c map[string]any) { c["deep"] = deep }}, ErrToken)
}

// TestO5_Algorithms: a provider's list makes ours shorter and never longer.
func TestO5_Algorithms(t *testing.T) {
	t.Parallel()
	for _, theirs := range [][]string{nil, {"none"}, {"HS256", "none"}, {"ES256", "HS256"}, {"RS256", "ES256", "none"}} {
		both := signatures(theirs)
		if len(both) == 0 {
			t.Errorf("%v: nothing, which the library reads as its default", theirs)
		}
		for _, alg := range both {
			if alg == "none" || strings.HasPrefix(alg, "HS") {
				t.Errorf("%v: %s", theirs, alg)
			}
		}
	}
	if got := signatures([]string{"ES256", "HS256"}); len(got) != 1 || got[0] != "ES256" {
		t.Errorf("%v", got)
	}
}
