package web

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"html/template"
	"slices"
	"sync/atomic"
)

// front is the login page as a visitor sees it first: nothing in it but the form's token is the
// visitor's. So it is rendered once, and the token is put in. A class that comes at once asks for
// little else, and rendering was a third of authz's time for it.
type front struct{ last atomic.Pointer[prepared] }

// prepared is a page around the token.
type prepared struct {
	page          Login // without a token
	messages      []Announcement
	before, after []byte
}

// first reports whether the page holds nothing that a visitor has sent.
func (p Login) first() bool {
	return p.Next == "" && p.Username == "" && p.Error == "" && !p.Keep.Chosen
}

// holds reports whether the page around the token would be the same for p.
func (r *prepared) holds(p Login, messages []Announcement) bool {
	return p.Password == r.page.Password && p.Action == r.page.Action && p.Keep == r.page.Keep &&
		slices.Equal(p.Providers, r.page.Providers) && slices.Equal(messages, r.messages)
}

// html returns the page for p, rendered by render if what is prepared is another.
func (f *front) html(p Login, messages []Announcement, render func(Page) ([]byte, error)) ([]byte, error) {
	ready := f.last.Load()
	if ready == nil || !ready.holds(p, messages) {
		mark, token := p, rand.Text() // no words of an administrator's are like it
		mark.XSRF = token
		whole, err := render(mark)
		if err != nil {
			return nil, err
		}
		before, after, _ := bytes.Cut(whole, []byte(token))
		if bytes.Count(whole, []byte(token)) != 1 { // no form
			return render(p)
		}
		mark.XSRF, mark.Providers = "", slices.Clone(p.Providers)
		ready = &prepared{mark, slices.Clone(messages), before, after}
		f.last.Store(ready)
	}
	return fmt.Appendf(make([]byte, 0, len(ready.before)+len(p.XSRF)+len(ready.after)), "%s%s%s", ready.before, template.HTMLEscapeString(p.XSRF), ready.after), nil
}
