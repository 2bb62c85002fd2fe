package tokens

import (
	"net/http"
	"net/url"
)

// rules says what each path of the REST API needs. The patterns are those of the
// services that answer, read by the same router, so that no spelling of a path is judged
// as one thing and served as another. A path that is not here is refused to tokens.
func rules() map[string]func(*http.Request) Need {
	user := func(a Action) func(*http.Request) Need {
		return func(r *http.Request) Need { return Need{Action: a, User: r.PathValue("user"), WholeUser: true} }
	}
	server := func(r *http.Request) Need {
		return Need{Action: Servers, User: r.PathValue("user"), Server: r.PathValue("server")}
	}
	version := func(*http.Request) Need { return Need{Action: Version} }
	return map[string]func(*http.Request) Need{
		"GET /hub/api":                                        version,
		"GET /hub/api/{$}":                                    version,
		"GET /hub/api/user":                                   user(ReadUsers), // of the owner, see Need
		"GET /hub/api/users/{user}":                           user(ReadUsers),
		"POST /hub/api/users/{user}/server":                   server,
		"DELETE /hub/api/users/{user}/server":                 server,
		"GET /hub/api/users/{user}/server/progress":           server,
		"POST /hub/api/users/{user}/servers/{server}":         server,
		"DELETE /hub/api/users/{user}/servers/{server}":       server,
		"GET /hub/api/users/{user}/servers/{server}/progress": server,
		"GET /hub/api/users/{user}/tokens":                    user(Tokens),
		"POST /hub/api/users/{user}/tokens":                   user(Tokens),
		"GET /hub/api/users/{user}/tokens/{id}":               user(Tokens),
		"DELETE /hub/api/users/{user}/tokens/{id}":            user(Tokens),
	}
}

// Rules finds out what requests to the REST API need. It is safe for concurrent use.
type Rules struct{ mux *http.ServeMux }

// NewRules returns the rules of our REST API.
func NewRules() *Rules {
	mux := http.NewServeMux()
	for pattern, need := range rules() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if p, ok := w.(*probe); ok {
				p.need, p.found = need(r), true
			}
		})
	}
	return &Rules{mux}
}

// Patterns lists the paths that tokens can be good for.
func (*Rules) Patterns() []string {
	var all []string
	for pattern := range rules() {
		all = append(all, pattern)
	}
	return all
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
