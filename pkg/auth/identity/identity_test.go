package identity

import (
	"slices"
	"testing"
)

func uuid(v string) Link   { return Entry("entryUUID", v) }
func number(v string) Link { return Entry("employeeNumber", v) }

// TestOneRule: who is whom, and whose a refused name is.
func TestOneRule(t *testing.T) {
	t.Parallel()
	const idp = "https://idp.test"
	alice := Named("alice")
	type links = []Link
	for name, c := range map[string]struct {
		known, shown links
		same, rivals bool
	}{
		"the same entry":                              {links{uuid("1")}, links{uuid("1"), alice}, true, true},
		"L9 the name was given to another entry":      {links{uuid("1")}, links{uuid("2"), alice}, false, true},
		"renamed":                                     {links{uuid("1")}, links{uuid("1"), Named("alicia")}, true, true},
		"an account from before ids takes one":        {links{alice}, links{uuid("1"), alice}, true, true},
		"an account from before ids, another name":    {links{alice}, links{uuid("1"), Named("bob")}, false, true},
		"L9 the directory shows no id any more":       {links{uuid("1")}, links{alice}, false, true},
		"L9 the directory shows another kind":         {links{uuid("1")}, links{Entry("objectGUID", "1"), alice}, false, true},
		"the administrator names a better attribute":  {links{uuid("1")}, links{number("7"), uuid("1"), alice}, true, true},
		"the better attribute decides":                {links{number("7"), uuid("1")}, links{number("8"), uuid("1"), alice}, false, true},
		"the better attribute decides the other way":  {links{number("7"), uuid("1")}, links{number("7"), uuid("2"), alice}, true, true},
		"the administrator takes it back":             {links{number("7"), uuid("1")}, links{uuid("1"), alice}, true, true},
		"no ids at all":                               {links{alice}, links{alice}, true, true},
		"attribute names have no case":                {links{Entry("ENTRYUUID", "1")}, links{uuid("1")}, true, true},
		"values have":                                 {links{number("a")}, links{number("A")}, false, true},
		"O9 a provider's subject":                     {links{{idp, "1"}}, links{{idp, "1"}}, true, true},
		"O9 the provider gave the name again":         {links{{idp, "1"}}, links{{idp, "2"}}, false, true},
		"O9 another provider":                         {links{{idp, "1"}}, links{{"https://other.test", "1"}}, false, false},
		"O9 the directory's alice and the provider's": {links{{idp, "alice"}}, links{uuid("1"), alice}, false, false},
		"O9 the provider's alice and the directory's": {links{uuid("1")}, links{{idp, "1"}}, false, false},
		"nothing is known":                            {nil, links{uuid("1"), alice}, false, false},
		"nothing is shown":                            {links{uuid("1")}, nil, false, false},
	} {
		if same := Same(c.known, c.shown); same != c.same {
			t.Errorf("%s: same %v", name, same)
		}
		if rivals := Rivals(c.known, c.shown); rivals != c.rivals {
			t.Errorf("%s: rivals %v", name, rivals)
		}
	}
}

func TestWhatIsRemembered(t *testing.T) {
	t.Parallel()
	both, provider := []Link{number("7"), uuid("1"), Named("alice")}, []Link{{"https://idp.test", "1"}}
	if got := Lasting(both); !slices.Equal(got, both[:2]) {
		t.Errorf("%v", got)
	}
	if got := Lasting(both[2:]); !slices.Equal(got, both[2:]) {
		t.Errorf("%v", got)
	}
	if got := Lasting(provider); !slices.Equal(got, provider) {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		links []Link
		want  bool
	}{{both, true}, {nil, false}, {[]Link{{"", "1"}}, false}, {[]Link{uuid("1"), {"x", ""}}, false}} {
		if Complete(c.links) != c.want {
			t.Errorf("%v", c.links)
		}
	}
	if _, ok := Named("alice").Attribute(); ok {
		t.Error("a name is no attribute")
	}
	if a, ok := uuid("1").Attribute(); !ok || a != "entryuuid" {
		t.Errorf("%q", a)
	}
}
