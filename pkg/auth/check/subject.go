package check

import (
	"net/http"
	"net/url"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

// subjects finds out whom a request for the hub's pages is about. It is safe for concurrent use.
type subjects struct{ mux *http.ServeMux }

func newSubjects() subjects {
	mux := http.NewServeMux()
	for _, pattern := range contract.PathsAboutUsers() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if n, ok := w.(*noted); ok {
				n.name = r.PathValue("user")
			}
		})
	}
	return subjects{mux}
}

// of returns the name in a request's path, "" for none. It decides nothing: the hub compares it
// with the name that it reads itself, so another reading of the path gives nobody's groups away.
func (s subjects) of(req Request) string {
	target, err := url.ParseRequestURI(req.Path)
	if err != nil || target.Host != "" {
		return ""
	}
	n := &noted{}
	s.mux.ServeHTTP(n, &http.Request{Method: req.Method, URL: target, Host: "hub", RequestURI: req.Path, Header: http.Header{}})
	return n.name
}

// noted takes the router's answer. Redirects and refusals leave it empty.
type noted struct{ name string }

func (*noted) Header() http.Header         { return http.Header{} }
func (*noted) Write(b []byte) (int, error) { return len(b), nil }
func (*noted) WriteHeader(int)             {}

// describe tells the hub whom an administrator's request is about, with that person's groups: an
// administrator starts for others what they may have, and nothing for a name that nobody has.
func (d *Decider) describe(v *Verdict, req Request, who access.User, admin bool) {
	if admin {
		if name := d.subjects.of(req); name != "" && name != who.Name {
			if person, ok := d.live.Person(name); ok {
				v.Set = append(v.Set, Header{contract.HeaderSubject, contract.EncodeHeaders(append([]string{person.Name}, person.Groups...))})
				return
			}
		}
	}
	v.Remove = append(v.Remove, contract.HeaderSubject)
}
