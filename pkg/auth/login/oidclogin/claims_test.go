package oidclogin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

func strict() Config {
	return Config{
		Claims:        Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"},
		AllowedGroups: []string{"students"}, AdminGroups: []string{"admins"},
	}
}

func decode(t *testing.T, text string) claims {
	t.Helper()
	var c claims
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestO11_UserNames(t *testing.T) {
	t.Parallel()
	everyone := strict()
	everyone.AllowedGroups = []string{Everyone}
	lower, prefixed, domain := everyone, everyone, everyone
	lower.Username.Lowercase, prefixed.Username.Prefix, domain.Username.Domain = true, "uni-", "example.org"
	for _, c := range []struct {
		cfg         Config
		claim, want string // want "" = refused
	}{
		{everyone, "alice", "alice"},
		{everyone, "Alice", "Alice"}, // another owner than alice
		{lower, "Alice", "alice"},    // wants alice's name, and has to claim it
		{everyone, "admin", "admin"}, // a name like any other: rights come from groups
		{everyone, "zoë", "zoë"}, {everyone, "zoe\u0308", "zoë"},
		{everyone, "alice@example.org", "alice@example.org"},
		{prefixed, "alice", "uni-alice"},
		{domain, "alice@example.org", "alice"}, {domain, "alice@EXAMPLE.org", "alice"},
		{domain, "alice@evil.example.org", ""}, {domain, "alice@example.org.evil", ""}, {domain, "a@evil@example.org", ""},
		{domain, "alice", ""}, {domain, "@example.org", ""},
		{everyone, "../alice", ""}, {everyone, "..", ""}, {everyone, ".", ""}, {everyone, ".alice", ""}, {everyone, "a/b", ""}, {everyone, `a\b`, ""},
		{everyone, "alice%2f", ""}, {everyone, "alice;x", ""}, {everyone, "", ""}, {everyone, strings.Repeat("a", 10_000), ""},
		{everyone, "al\u202eice", ""}, {everyone, "ali\u200bce", ""}, {everyone, "\U0001F600", ""}, {everyone, "a\x00b", ""}, {everyone, "a b", ""}, {everyone, "a\nb", ""},
		{prefixed, "../alice", ""},
	} {
		user, err := c.cfg.person(claims{"preferred_username": c.claim})
		if c.want == "" {
			if !errors.Is(err, access.ErrNotAllowed) {
				t.Errorf("%q becomes %q, %v", c.claim, user.Name, err)
			}
			continue
		}
		if err != nil || user.Name != c.want {
			t.Errorf("%q becomes %q, %v; want %q", c.claim, user.Name, err, c.want)
		}
		if user.Admin {
			t.Errorf("%q is an administrator", c.claim)
		}
	}
	for _, odd := range []any{nil, 7.5, 1e300, float64(1 << 53), true, []any{"alice"}, map[string]any{"a": "b"}} {
		if user, err := everyone.person(claims{"preferred_username": odd}); err == nil {
			t.Errorf("%v becomes %q", odd, user.Name)
		}
	}
}

func TestO10_EMailNeedsToBeVerified(t *testing.T) {
	t.Parallel()
	cfg := strict()
	cfg.Claims.Username, cfg.AllowedGroups = "email", []string{Everyone}
	for text, ok := range map[string]bool{
		`{"email":"a@corp.example","email_verified":true}`:       true,
		`{"email":"a@corp.example","email_verified":false}`:      false,
		`{"email":"a@corp.example"}`:                             false,
		`{"email":"a@corp.example","email_verified":"true"}`:     true, // Cognito, JumpCloud
		`{"email":"a@corp.example","email_verified":"false"}`:    false,
		`{"email":"a@corp.example","email_verified":"TRUE"}`:     false,
		`{"email":"a@corp.example","email_verified":"1"}`:        false,
		`{"email":"a@corp.example","email_verified":1}`:          false,
		`{"email":"a@corp.example","email_verified":null}`:       false,
		`{"email":"a@corp.example","email_verified":[true]}`:     false,
		`{"email":"a@evil@corp.example","email_verified":true}`:  false,
		`{"email":"a\uff20corp.example","email_verified":true}`:  false,
		`{"email":"a","email_verified":true}`:                    false,
		`{"email":"@corp.example","email_verified":true}`:        false,
		`{"email":"a@","email_verified":true}`:                   false,
		`{"email":"a @corp.example","email_verified":true}`:      false,
		`{"email":["a@corp.example"],"email_verified":true}`:     false,
		`{"email":"\u0430@corp.example","email_verified":true}`:  false,
		`{"email":"a@corp.example","Email_Verified":true}`:       false,
		`{"email":"a@corp.example,b@x.y","email_verified":true}`: false,
	} {
		if user, err := cfg.person(decode(t, text)); (err == nil) != ok {
			t.Errorf("%s: %q %v", text, user.Name, err)
		}
	}
}

// TestO10_OneSource: the address and its verification are not put together from two places.
func TestO10_OneSource(t *testing.T) {
	t.Parallel()
	cfg := strict()
	cfg.Claims.Username, cfg.AllowedGroups = "email", []string{Everyone}
	id, info := claims{"email": "victim@corp.example"}, claims{"email": "mallory@corp.example", "email_verified": true}
	if !cfg.incomplete(id) {
		t.Error("the user info is not asked")
	}
	user, err := cfg.person(cfg.complete(id, info))
	if err != nil || user.Name != "mallory@corp.example" {
		t.Errorf("%q %v", user.Name, err)
	}
	if user, err := cfg.person(cfg.complete(claims{"email": "victim@corp.example", "email_verified": false}, info)); err == nil {
		t.Errorf("what is signed loses: %q", user.Name)
	}
}

// TestClaimsAsProvidersWriteThem: staff numbers as numbers, lists inside of objects, names with
// dots in them, groups as paths.
func TestClaimsAsProvidersWriteThem(t *testing.T) {
	t.Parallel()
	cfg := func(username, groups string, paths bool) Config {
		c := strict()
		c.Claims.Username, c.Claims.Groups, c.Claims.GroupPaths = username, groups, paths
		return c
	}
	for name, c := range map[string]struct {
		cfg    Config
		claims string
		want   string // "" is refused
	}{
		"number":                {cfg("staff", "groups", false), `{"staff":12345678,"groups":["students"]}`, "12345678"},
		"rounded number":        {cfg("staff", "groups", false), `{"staff":12345678901234567890,"groups":["students"]}`, ""},
		"realm roles":           {cfg("u", "realm_access.roles", false), `{"u":"alice","realm_access":{"roles":["x","students"]}}`, "alice"},
		"client roles":          {cfg("u", "resource_access.hub.roles", false), `{"u":"alice","resource_access":{"hub":{"roles":["students"]}}}`, "alice"},
		"another client's":      {cfg("u", "resource_access.hub.roles", false), `{"u":"alice","resource_access":{"other":{"roles":["students"]}}}`, ""},
		"a dead end":            {cfg("u", "realm_access.roles", false), `{"u":"alice","realm_access":"roles"}`, ""},
		"a name with dots":      {cfg("u", "https://example.org/groups", false), `{"u":"alice","https://example.org/groups":["students"]}`, "alice"},
		"the very name first":   {cfg("u", "a.b", false), `{"u":"alice","a.b":["others"],"a":{"b":["students"]}}`, ""},
		"nested name":           {cfg("person.login", "groups", false), `{"person":{"login":"alice"},"groups":["students"]}`, "alice"},
		"group path":            {cfg("u", "groups", true), `{"u":"alice","groups":["/students"]}`, "alice"},
		"group path as it is":   {cfg("u", "groups", false), `{"u":"alice","groups":["/students"]}`, ""},
		"the path of another's": {cfg("u", "groups", true), `{"u":"alice","groups":["/others/students"]}`, ""},
	} {
		user, err := c.cfg.person(decode(t, c.claims))
		if got := user.Name; got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	// What the user info alone says is found inside of objects too.
	c := cfg("person.login", "realm_access.roles", false)
	id, info := claims{"sub": "s"}, decode(t, `{"sub":"s","person":{"login":"alice"},"realm_access":{"roles":["students"]}}`)
	if user, err := c.person(c.complete(id, info)); !c.incomplete(id) || err != nil || user.Name != "alice" {
		t.Errorf("from the user info: %q %v", user.Name, err)
	}
}

func TestO12_Groups(t *testing.T) {
	t.Parallel()
	many := make([]any, 5000)
	for i := range many {
		many[i] = fmt.Sprint("g", i)
	}
	many[0] = "students"
	withMany := claims{"preferred_username": "x", "groups": many}
	for _, c := range []struct {
		name   string
		claims claims
		ok     bool
		admin  bool
	}{
		{"one that is allowed", decode(t, `{"groups":["others","students"]}`), true, false},
		{"administrators", decode(t, `{"groups":["admins"]}`), true, true},
		{"none that is allowed", decode(t, `{"groups":["others"]}`), false, false},
		{"empty", decode(t, `{"groups":[]}`), false, false},
		{"absent", decode(t, `{}`), false, false},
		{"null", decode(t, `{"groups":null}`), false, false},
		{"one without a list", decode(t, `{"groups":"students"}`), true, false},
		{"another without a list", decode(t, `{"groups":"others"}`), false, false},
		{"an object", decode(t, `{"groups":{"students":true}}`), false, false},
		{"a string of several", decode(t, `{"groups":"admins,students"}`), false, false},
		{"an object", decode(t, `{"groups":{"students":true}}`), false, false},
		{"mixed", decode(t, `{"groups":["students",true]}`), false, false},
		{"nested", decode(t, `{"groups":[["students"]]}`), false, false},
		{"another case", decode(t, `{"groups":["Students"]}`), false, false},
		{"5000", withMany, false, false},
		{"overage", decode(t, `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://evil.test/"}}}`), false, false},
		{"overage with a part of the list", decode(t, `{"groups":["students"],"_claim_names":{"groups":"src1"}}`), false, false},
		{"hasgroups", decode(t, `{"hasgroups":true}`), false, false},
	} {
		if c.claims["preferred_username"] == nil {
			c.claims["preferred_username"] = "x"
		}
		user, err := strict().person(c.claims)
		if (err == nil) != c.ok || user.Admin != c.admin {
			t.Errorf("%s: %+v %v", c.name, user, err)
		}
		if !c.ok && !errors.Is(err, access.ErrNotAllowed) {
			t.Errorf("%s: %v", c.name, err)
		}
		everyone := strict()
		everyone.AllowedGroups = []string{Everyone}
		if user, err := everyone.person(c.claims); err != nil || user.Admin != c.admin {
			t.Errorf("%s, everyone allowed: %+v %v", c.name, user, err)
		}
	}
}

// TestO12_UserInfoResolves: what the token leaves open the user info may say.
func TestO12_UserInfoResolves(t *testing.T) {
	t.Parallel()
	overage := decode(t, `{"sub":"s","preferred_username":"x","_claim_names":{"groups":"src1"}}`)
	info := decode(t, `{"sub":"s","preferred_username":"mallory","groups":["students"]}`)
	if !strict().incomplete(overage) || strict().incomplete(info) {
		t.Error("incomplete is wrong")
	}
	user, err := strict().person(strict().complete(overage, info))
	if err != nil || user.Name != "x" || !slices.Equal(user.Groups, []string{"students"}) {
		t.Errorf("%+v %v", user, err)
	}
	if _, err := strict().person(strict().complete(overage, overage)); err == nil {
		t.Error("still unresolved, and allowed")
	}
}

// FuzzPerson: whatever a provider says, a person who is let in has a name that can own
// servers and is in a group that is allowed.
func FuzzPerson(f *testing.F) {
	f.Add(`{"preferred_username":"alice","groups":["students"]}`)
	f.Add(`{"preferred_username":"alice@example.org","email_verified":true,"groups":["admins"],"_claim_names":{"groups":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var c claims
		if json.Unmarshal([]byte(text), &c) != nil {
			return
		}
		for _, rule := range []Username{{}, {Lowercase: true}, {Prefix: "p-"}, {Domain: "example.org"}} {
			cfg := strict()
			cfg.Username = rule
			user, err := cfg.person(c)
			if err != nil {
				if !errors.Is(err, access.ErrNotAllowed) {
					t.Fatal(err)
				}
				continue
			}
			if server.ValidUser(user.Name) != nil || strings.Contains(user.Name, "%") || !strings.HasPrefix(user.Name, rule.Prefix) {
				t.Fatalf("name %q", user.Name)
			}
			if user.Admin != slices.Contains(user.Groups, "admins") || !user.Admin && !slices.Contains(user.Groups, "students") {
				t.Fatalf("%+v", user)
			}
		}
	})
}

// FuzzIDToken: whatever claims a signed token has, what is accepted lives now, is about
// somebody and was made for this login.
func FuzzIDToken(f *testing.F) {
	now := newClock().now()
	f.Add(fmt.Sprintf(`{"sub":"s","nonce":"n","aud":"us","exp":%d,"iat":%d}`, now.Unix()+60, now.Unix()))
	f.Add(`{"sub":"s","nonce":"n","aud":["us","x"],"azp":"us","exp":1e300,"iat":-1,"nbf":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var c claims
		if json.Unmarshal([]byte(text), &c) != nil || (expected{clientID: "us", nonce: "n"}).check(c, now) != nil {
			return
		}
		exp, iat := c["exp"].(float64), c["iat"].(float64)
		at := float64(now.UnixMilli()) / 1000
		if c["nonce"] != "n" || c["sub"] == "" || exp <= at-60.001 || iat > at+60.001 {
			t.Fatalf("accepted %s", text)
		}
		if aud, ok := c["aud"].([]any); ok && len(aud) > 1 && c["azp"] != "us" {
			t.Fatalf("accepted %s", text)
		}
	})
}
