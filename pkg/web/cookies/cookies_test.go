package cookies

import (
	"errors"
	"net/http"
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

func TestSetAndDeleteHaveTheSameAttributes(t *testing.T) {
	for _, secure := range []bool{true, false} {
		set, err := http.ParseSetCookie(Jar{Secure: secure}.Set(contract.CookiePass, "v", "/user/a%20b/"))
		if err != nil {
			t.Fatal(err)
		}
		del, err := http.ParseSetCookie(Jar{Secure: secure}.Delete(contract.CookiePass, "/user/a%20b/"))
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
