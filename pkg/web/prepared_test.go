package web

import (
	"bytes"
	"strings"
	"testing"
)

// TestFirstLoginPageIsAsRendered: the page that is put together is the one that the template makes,
// also after the platform's messages or the providers have changed, and no visitor gets another's token.
func TestFirstLoginPageIsAsRendered(t *testing.T) {
	t.Parallel()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var said []Announcement
	r.Announce(func(string) []Announcement { return said })
	pages := []Login{
		{Password: true, Action: "/hub/login"},
		{Password: true, Action: "/hub/login", Keep: Keep{Offered: true}},
		{Password: true, Action: "/hub/login", Providers: []Provider{{Name: hostile, URL: "/hub/oauth_login/x"}}},
		{Action: "/hub/login", Providers: []Provider{{Name: "Other", URL: "/hub/oauth_login/y"}}}, // no form
		{Password: true, Action: "/hub/login", Next: "/user/alice/"}, {Password: true, Username: hostile}, {Password: true, Error: "login.invalid"},
		{Password: true, Keep: Keep{Offered: true, Chosen: true}},
	}
	for _, words := range [][]Announcement{nil, {{Text: "Tonight we rest"}}, {{hostile, true}}} {
		said = words
		for range 2 { // from the second on it is prepared
			for _, page := range pages {
				for _, token := range []string{"K3yz-_0123456789abcdefg", hostile} {
					for _, language := range []string{"en", "zh-CN"} {
						page.XSRF = token
						want, err := r.pick(language).render(page)
						if err != nil {
							t.Fatal(err)
						}
						got, err := r.HTML(language, page)
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("%+v in %s: %v\n%s\nwant\n%s", page, language, err, got, want)
						}
					}
				}
			}
		}
	}
}

// TestFirstLoginPageIsRenderedOnce, unless a visitor's own words are in it.
func TestFirstLoginPageIsRenderedOnce(t *testing.T) {
	t.Parallel()
	var f front
	rendered := 0
	render := func(p Page) ([]byte, error) { rendered++; return []byte("<" + p.(Login).XSRF + ">"), nil }
	for i := range 10 {
		token := strings.Repeat("x", i)
		if got, err := f.html(Login{XSRF: token}, nil, render); err != nil || string(got) != "<"+token+">" {
			t.Errorf("%s, %v", got, err)
		}
	}
	if rendered != 1 {
		t.Errorf("rendered %d times", rendered)
	}
	for _, p := range []Login{{Next: "/"}, {Username: "a"}, {Error: "login.invalid"}, {Keep: Keep{Chosen: true}}} {
		if p.first() {
			t.Errorf("%+v is for everybody", p)
		}
	}
}

func BenchmarkFirstLoginPage(b *testing.B) {
	r, err := New()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.HTML("en", Login{Password: true, Action: "/hub/login", XSRF: "K3yz-_0123456789abcdefg"}); err != nil {
			b.Fatal(err)
		}
	}
}
