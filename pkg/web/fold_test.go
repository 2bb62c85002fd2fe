package web

import (
	"bytes"
	"errors"
	"github.com/google/go-cmp/cmp"
	"html/template"
	"net/http/httptest"
	"regexp"
	"testing"
)

// BenchmarkLogin shows the page that everybody sees first.
func BenchmarkLogin(b *testing.B) {
	pages, err := New()
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest("GET", "/hub/login", nil)
	req.Header.Set("Accept-Language", "en-GB,en;q=0.9,zh;q=0.5")
	page := Login{Password: true, Action: "/hub/login", XSRF: "0123456789abcdef", Next: "/user/alice/lab", Providers: []Provider{{Name: "provider", URL: "/hub/oauth_login/provider"}}}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		pages.Page(w, req, 200, page)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

// TestFold: what is written into the templates beforehand is what they would have shown.
func TestFold(t *testing.T) {
	pages, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range pages.languages {
		for name, page := range samples(hostile) {
			plain, err := template.New("layout.html").Funcs(l.funcs(pages.announcements)).ParseFS(files,
				"templates/layout.html", "templates/parts/*.html", "templates/"+page.template()+".html")
			if err != nil {
				t.Fatal(err)
			}
			var want, got bytes.Buffer
			if err := errors.Join(plain.Execute(&want, page), l.pages[page.template()].Execute(&got, page)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("%s in %s: %s", name, l.tag, diff)
			}
		}
	}
	lookup := regexp.MustCompile(`\{\{t "[^"]*"( \||\}\})`)
	for _, one := range pages.languages[0].pages["login"].Templates() {
		if left := lookup.FindAllString(one.Tree.Root.String(), -1); len(left) > 0 {
			t.Errorf("%s looks up each time: %v", one.Name(), left)
		}
	}
}
