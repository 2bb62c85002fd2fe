package access

import "testing"

func TestSameGroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"as written", "Research Staff", "Research Staff", true},
		{"another case", "Research Staff", "RESEARCH staff", true},
		{"other blanks", "Research Staff", "\tResearch   Staff ", true},
		{"another case outside ASCII", "PHYSIK ÄÖ", "physik äö", true},
		{"half of a name", "Research Staff", "Research", false},
		{"blanks left out", "Research Staff", "ResearchStaff", false},
		{"another accent", "Käfer", "Kafer", false},
		{"no name", "", "", false},
		{"blanks are no name", " ", "", false},
	} {
		if SameGroup(c.a, c.b) != c.want || SameGroup(c.b, c.a) != c.want {
			t.Errorf("%s: %q and %q", c.name, c.a, c.b)
		}
		if InGroup([]string{"chess", c.a}, []string{"none", c.b}) != c.want {
			t.Errorf("%s: among others", c.name)
		}
	}
	if InGroup(nil, []string{"staff"}) || InGroup([]string{"staff"}, nil) {
		t.Error("a user without groups, or no group that is wanted")
	}
}
