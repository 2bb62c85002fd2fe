package web

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
)

// edgePage is a page that Envoy answers by itself.
type edgePage struct {
	Title, Text string // message ids
	Again       bool   // the same address may work in a moment
	// Status and RequestID are what Envoy puts in their places.
	Status, RequestID string
}

// Commands of Envoy's substitution format, and what stands for them until the rest is escaped.
const (
	statusCommand  = "%RESPONSE_CODE%"
	requestCommand = "%REQ(X-REQUEST-ID)%"
	statusMark     = "STATUS-OF-THE-REPLY"
	requestMark    = "ID-OF-THE-REQUEST"
)

// EdgePages returns the pages that Envoy answers where no service does, by file name, in Envoy's
// format (substitution format strings). They look like the others, and need no other file: the
// services that have those may be what is missing.
func EdgePages() (map[string][]byte, error) {
	r, err := New()
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name, page := range map[string]edgePage{
		"404": {Title: "error.not_found", Text: "error.not_found_text"},
		"503": {Title: "edge.unavailable", Text: "edge.unavailable_text", Again: true},
	} {
		page.Status, page.RequestID = statusMark, requestMark
		for _, l := range r.languages {
			html, err := l.edge(page)
			if err != nil {
				return nil, err
			}
			all[name+"."+l.tag.String()+".html"] = html
		}
	}
	return all, nil
}

func (l localized) edge(page edgePage) ([]byte, error) {
	css, err := edgeStyle()
	if err != nil {
		return nil, err
	}
	funcs := l.funcs(func(string) []Announcement { return nil })
	funcs["style"] = func() template.CSS { return css }
	t, err := template.New("edge.html").Funcs(funcs).ParseFS(files, "templates/parts/mark.html", "templates/edge/edge.html")
	if err != nil {
		return nil, fmt.Errorf("parse Envoy's page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, page); err != nil {
		return nil, fmt.Errorf("render Envoy's page: %w", err)
	}
	html := strings.ReplaceAll(strings.TrimSpace(b.String())+"\n", "%", "%%")
	return []byte(strings.NewReplacer(statusMark, statusCommand, requestMark, requestCommand).Replace(html)), nil
}

// edgeEnd ends the part of the style sheet that Envoy's pages have.
const edgeEnd = "/* Envoy's own pages have what stands above. */"

func edgeStyle() (template.CSS, error) {
	all, err := static.ReadFile("static/app.css")
	if err != nil {
		return "", fmt.Errorf("read the style sheet: %w", err)
	}
	css, _, ok := strings.Cut(string(all), edgeEnd)
	if !ok {
		return "", fmt.Errorf("the style sheet has no %q", edgeEnd)
	}
	return template.CSS(css), nil //nolint:gosec // our own file
}
