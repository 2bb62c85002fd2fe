package cookies

import (
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

func TestOne(t *testing.T) {
	for _, c := range []struct {
		header, want string
		err          error
	}{
		{"", "", ErrAbsent},
		{"a=1", "", ErrAbsent},
		{"perijove-pass=x", "x", nil},
		{"a=1; perijove-pass=x; b=2", "x", nil},
		{"a=1;perijove-pass = x ", "x", nil},
		{"perijove-pass=a=b", "a=b", nil},
		{"perijove-pass", "", nil},
		{"perijove-pass=x; perijove-pass=y", "", ErrDuplicate},
		{"perijove-pass=x; perijove-pass=x", "", ErrDuplicate},
		{"perijove-pass=x; perijove-pass", "", ErrDuplicate},
		{"Perijove-Pass=x", "", ErrAbsent},
		{"xperijove-pass=x", "", ErrAbsent},
		{"a=\"perijove-pass=x\"", "", ErrAbsent},
	} {
		got, err := One(c.header, contract.CookiePass)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("One(%q) = %q, %v; want %q, %v", c.header, got, err, c.want, c.err)
		}
	}
}

func TestS4_OurCookiesAreCutOut(t *testing.T) {
	for header, want := range map[string]string{
		"":                             "",
		"a=1":                          "a=1",
		"a=1;b=":                       "a=1;b=",
		"_xsrf=2|a|b; perijove-pass=x": "_xsrf=2|a|b",
		"perijove-session=s; a=1; perijove-pass=p; b=\"q r\"":       "a=1; b=\"q r\"",
		"perijove-session=s; perijove-session=t":                    "",
		"perijove-login=s;a=1":                                      "a=1",
		"a=1,perijove-session=stolen":                               "a=1", // two header lines joined with a comma
		"a=\"; perijove-session=s\"":                                "a=\"",
		"a=perijove-passport":                                       "a=perijove-passport",
		"perijove-pass=x; perijove-pass=y; a=1":                     "a=1",
		"a=1; perijove-pass=x;perijove-pass=y; b=2":                 "a=1; b=2",
		"xperijove-pass=x; perijove-pass2=y":                        "xperijove-pass=x; perijove-pass2=y",
		"perijove-session =s; b=1":                                  "b=1",
		"username-localhost-8888=\"2|1:0|10:1|x\"; perijove-pass=p": "username-localhost-8888=\"2|1:0|10:1|x\"",
	} {
		if got := regexp.MustCompile(OursPattern()).ReplaceAllString(header, ""); got != want {
			t.Errorf("without ours %q is %q; want %q", header, got, want)
		}
	}
	for _, name := range ours() {
		if got := regexp.MustCompile(OursPattern()).ReplaceAllString("a=1; "+name+"=x", ""); got != "a=1" {
			t.Errorf("%s is not cut: %q is left", name, got)
		}
	}
}

func TestSetAndDeleteHaveTheSameAttributes(t *testing.T) {
	for _, secure := range []bool{true, false} {
		set, err := http.ParseSetCookie(Set(contract.CookiePass, "v", "/user/a%20b/", secure))
		if err != nil {
			t.Fatal(err)
		}
		del, err := http.ParseSetCookie(Delete(contract.CookiePass, "/user/a%20b/", secure))
		if err != nil {
			t.Fatal(err)
		}
		if set.Secure != secure || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Domain != "" || set.Path != "/user/a%20b/" {
			t.Errorf("unexpected attributes: %s", set.Raw)
		}
		if del.Path != set.Path || del.Secure != set.Secure || del.HttpOnly != set.HttpOnly || del.SameSite != set.SameSite || del.Domain != "" || del.MaxAge >= 0 {
			t.Errorf("deletion %s does not match %s", del.Raw, set.Raw)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a=1; perijove-session=x")
	f.Add("a=1,perijove-pass=y;;=; perijove-login")
	f.Add("perijove-pass=1;perijove-pass=2,perijove-login=3")
	f.Fuzz(func(t *testing.T, header string) {
		got := regexp.MustCompile(OursPattern()).ReplaceAllString(header, "")
		for _, name := range ours() {
			for _, value := range All(got, name) {
				if value != "" { // a name without "=" carries nothing
					t.Fatalf("without ours %q is %q, which still has %s", header, got, name)
				}
			}
		}
		if len(got) > len(header) {
			t.Fatalf("%q grew to %q", header, got)
		}
	})
}
