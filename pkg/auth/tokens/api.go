package tokens

import (
	"net/http"
	"net/url"

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
		if e.Scope == "" {
			continue
		}
		mux.HandleFunc(e.Pattern(), func(w http.ResponseWriter, r *http.Request) {
			if p, ok := w.(*probe); ok {
				p.need, p.found = need(e, r), true
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
	target, err := url.ParseRequestURI(path)
	if err != nil || target.Host != "" {
		return Need{}, false
	}
	p := &probe{}
	l.mux.ServeHTTP(p, &http.Request{Method: method, URL: target, Host: "hub", RequestURI: path, Header: http.Header{}})
	if p.found && p.need.User == "" {
		p.need.User = owner
	}
	return p.need, p.found
}

// probe takes the router's answer. Redirects and refusals leave it empty.
type probe struct {
	need  Need
	found bool
}

func (*probe) Header() http.Header         { return http.Header{} }
func (*probe) Write(b []byte) (int, error) { return len(b), nil }
func (*probe) WriteHeader(int)             {}
