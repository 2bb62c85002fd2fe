package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"github.com/perijove/perijove/pkg/contract"
)

//go:embed templates/*.html templates/parts/*.html templates/edge/*.html locales/*.json
var files embed.FS

// contentSecurityPolicy lets a page load the platform's own files and nothing else. Without
// inline scripts and styles, an escaping mistake in a template stays text. Without frames, a
// page of a user's server cannot put ours under its own buttons (S8).
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// languages in the order of preference when the browser accepts none of them.
func languages() []language.Tag {
	return []language.Tag{language.English, language.SimplifiedChinese}
}

// Renderer turns page structs into HTML. It is safe for concurrent use.
type Renderer struct {
	matcher   language.Matcher
	languages []localized // same order as languages()
	messages  func(language string) []Announcement
}

// Announcement is what administrators say to everybody, on each page.
type Announcement struct {
	Text    string // untrusted
	Warning bool
}

// Announce lets pages show what messages returns for a language of the pages. It must be called
// before the first page is shown.
func (r *Renderer) Announce(messages func(language string) []Announcement) { r.messages = messages }

func (r *Renderer) announcements(language string) []Announcement {
	if r.messages == nil {
		return nil
	}
	return r.messages(language)
}

// localized holds texts and templates of one language.
type localized struct {
	tag       language.Tag
	localizer *i18n.Localizer
	pages     map[string]*template.Template
	front     *front
}

// New parses all templates and texts. It fails only if the binary was built with a broken one.
func New() (*Renderer, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	tags := languages()
	for _, tag := range tags {
		if _, err := bundle.LoadMessageFileFS(files, "locales/active."+tag.String()+".json"); err != nil {
			return nil, fmt.Errorf("load texts for %s: %w", tag, err)
		}
	}
	r := &Renderer{matcher: language.NewMatcher(tags)}
	for _, tag := range tags {
		l := localized{tag: tag, front: &front{}, localizer: i18n.NewLocalizer(bundle, tag.String())}
		pages, err := parse(l, r.announcements)
		if err != nil {
			return nil, err
		}
		l.pages = pages
		r.languages = append(r.languages, l)
	}
	return r, nil
}

// funcs are the functions of templates in one language.
func (l localized) funcs(announcements func(language string) []Announcement) template.FuncMap {
	return template.FuncMap{
		"t":        l.text,
		"lang":     l.tag.String,
		"messages": func() []Announcement { return announcements(l.tag.String()) },
		"viewer":   func(p Page) Viewer { return p.viewer() },
		"asset":    assetURL,
		"home":     func() string { return contract.PathHome },
		"admin":    func() string { return contract.PathAdmin },
		"logout":   func() string { return contract.PathLogout },
		"tokens":   func() string { return contract.PathToken },
		"sessions": func() string { return contract.PathSessions },
		"xsrf":     func() string { return contract.XSRFName },
	}
}

// parse reads each page's template together with the layout. It binds the template functions
// to one language, so that a page cannot mix two.
func parse(l localized, announcements func(language string) []Announcement) (map[string]*template.Template, error) {
	pages := map[string]*template.Template{}
	for _, p := range []Page{Login{}, Logout{}, Message{}, Home{}, Spawn{}, Pending{}, Token{}, Sessions{}, DeleteUser{}, Admin{}, AdminUser{}, Account{}, Log{}, AdminQuotas{}, AdminMessages{}, AdminCluster{}} {
		funcs := l.funcs(announcements)
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(files,
			"templates/layout.html", "templates/parts/*.html", "templates/"+p.template()+".html")
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", p.template(), err)
		}
		fold(t, funcs)
		pages[p.template()] = t
	}
	return pages, nil
}

// text looks up a message; data is at most one map of values. For an unknown id it returns
// the id: a wrong word is better than no page.
func (l localized) text(id string, data ...map[string]string) string {
	cfg := &i18n.LocalizeConfig{MessageID: id}
	if len(data) > 0 {
		cfg.TemplateData = data[0]
	}
	s, err := l.localizer.Localize(cfg)
	if err != nil && s == "" {
		return id
	}
	return s
}

// pick chooses the language for an Accept-Language header (RFC 9110 §12.5.4).
func (r *Renderer) pick(acceptLanguage string) localized {
	const longest = 256 // browsers send far less; parsing cost grows with the length
	if len(acceptLanguage) > longest {
		acceptLanguage = ""
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return r.languages[0]
	}
	_, i, _ := r.matcher.Match(tags...)
	return r.languages[i]
}

// Language returns the language of the pages that acceptLanguage, an Accept-Language header,
// prefers.
func (r *Renderer) Language(acceptLanguage string) string { return r.pick(acceptLanguage).tag.String() }

// Text returns the sentence for a message id as plain text, in the language that
// acceptLanguage, an Accept-Language header, prefers.
func (r *Renderer) Text(acceptLanguage, id string, data map[string]string) string {
	return r.pick(acceptLanguage).text(id, data)
}

// HTML returns a page in the language that acceptLanguage, an Accept-Language header, prefers.
func (r *Renderer) HTML(acceptLanguage string, page Page) ([]byte, error) {
	l := r.pick(acceptLanguage)
	if login, ok := page.(Login); ok && login.first() {
		return l.front.html(login, r.announcements(l.tag.String()), l.render)
	}
	return l.render(page)
}

func (l localized) render(page Page) ([]byte, error) {
	var b bytes.Buffer
	if err := l.pages[page.template()].Execute(&b, page); err != nil {
		return nil, fmt.Errorf("render page %s: %w", page.template(), err)
	}
	return b.Bytes(), nil
}

// Headers returns the headers that every page must carry.
func Headers() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// Pages hold names and XSRF tokens. After a logout the back button must not show them.
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	return h
}

// Page writes a page with its headers, in the language that req prefers. Headers that the
// caller has set (cookies, Retry-After) stay. If the page cannot be rendered, the answer is a
// plain 500.
func (r *Renderer) Page(w http.ResponseWriter, req *http.Request, status int, page Page) {
	body, err := r.HTML(strings.Join(req.Header.Values("Accept-Language"), ","), page)
	if err != nil {
		http.Error(w, "The page could not be shown. Please tell your administrator.", http.StatusInternalServerError)
		return
	}
	for k, v := range Headers() {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the browser went away
}

// Leave shows a page that takes the browser to target, an address on another host.
// Handlers of forms use it instead of a redirect: browsers apply form-action to redirects
// too (CSP3 §4.2.4).
func (r *Renderer) Leave(w http.ResponseWriter, req *http.Request, user, target string) {
	w.Header().Set("Refresh", "0; url="+target)
	r.Page(w, req, http.StatusOK, Message{
		Title: "leave.title", Text: "leave.text", ActionURL: target, Action: "leave.continue", User: user,
	})
}
