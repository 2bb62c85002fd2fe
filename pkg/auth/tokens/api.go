package tokens

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

// Need is what a request of the REST API does, and to whom.
type Need struct {
	Action access.Action
	access.Target
}

// Rules finds out what requests to the REST API need. It is safe for concurrent use.
type Rules struct{ mux *http.ServeMux }

// NewRules returns the rules of our REST API (contract.Endpoints). The patterns are those of
// the services that answer, read by the same router, so that no spelling of a path is judged
// as one thing and served as another. No token is good for a path that is not there.
func NewRules() *Rules {
	mux := http.NewServeMux()
	for _, e := range contract.Endpoints() {
		mux.HandleFunc(e.Pattern(), func(w http.ResponseWriter, r *http.Request) {
			if p, ok := w.(*probe); ok {
				p.need, p.found, p.status = need(e, r), e.Scope != "", http.StatusForbidden
			}
		})
	}
	return &Rules{mux}
}

func need(e contract.Endpoint, r *http.Request) Need {
	n := Need{Action: access.Action(e.Scope), Target: access.Target{User: r.PathValue("user"), Server: r.PathValue("server")}}
	n.WholeUser = n.Action != access.Version && !e.AboutServer()
	return n
}

// Need returns what a request of owner's token needs. path is the request target as it
// goes to the service, with or without a query. ok is false where no token is good.
func (l *Rules) Need(owner, method, path string) (need Need, ok bool) {
	p := l.probe(method, path)
	if !p.found {
		return Need{}, false
	}
	if p.need.User == "" {
		p.need.User = owner
	}
	return p.need, true
}

// Refusal returns the HTTP status for a request without a Need: 404 for a path that the API does not
// have, 405 with the methods that a path has instead, and 403 for all else.
func (l *Rules) Refusal(method, path string) (status int, methods string) {
	p := l.probe(method, path)
	below := strings.HasPrefix(path, contract.PathAPI+"/") || path == contract.PathAPI
	if below && (p.status == http.StatusNotFound || p.status == http.StatusMethodNotAllowed) {
		return p.status, p.header.Get("Allow")
	}
	return http.StatusForbidden, ""
}

func (l *Rules) probe(method, path string) probe {
	p := probe{header: http.Header{}}
	target, err := url.ParseRequestURI(path)
	if err != nil || target.Host != "" {
		return p
	}
	l.mux.ServeHTTP(&p, &http.Request{Method: method, URL: target, Host: "hub", RequestURI: path, Header: http.Header{}})
	return p
}

// probe takes the router's answer. Redirects and refusals leave it without a need.
type probe struct {
	need   Need
	found  bool
	status int
	header http.Header
}

func (p *probe) Header() http.Header       { return p.header }
func (*probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)    { p.status = status }
