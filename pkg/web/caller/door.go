package caller

import (
	"net/http"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Handler is a request handler that knows its caller. A returned error is answered by the
// door's Fail.
type Handler func(w http.ResponseWriter, r *http.Request, who Caller) error

// Door is what stands before every page and REST path of a service: identity, form token, size. Behind
// it a request's context says who acts, for the trails.
type Door struct {
	// MaxBody bounds forms and JSON bodies in bytes.
	MaxBody int64
	// Fail answers an error of the door's or of a handler's, as a page or as JSON. With
	// ErrAnonymous the caller is the zero Caller.
	Fail func(w http.ResponseWriter, r *http.Request, who Caller, err error)
}

// Register puts pages, by pattern, and the endpoints that upstream answers, by operation, on mux. A
// method that an endpoint's path does not take fails with ErrMethod.
func (d Door) Register(mux *http.ServeMux, pages map[string]Handler, upstream contract.Upstream, operations map[string]Handler) {
	for pattern, next := range pages {
		mux.HandleFunc(pattern, d.guard(next))
	}
	methods := map[string][]string{}
	for _, e := range contract.EndpointsOf(upstream) {
		guard := d.guard
		if e.Open() {
			guard = d.open
		}
		mux.HandleFunc(e.Pattern(), guard(operations[e.Operation]))
		methods[e.Path] = append(methods[e.Path], e.Method)
		if e.Method == http.MethodGet {
			methods[e.Path] = append(methods[e.Path], http.MethodHead)
		}
	}
	for path, known := range methods {
		slices.Sort(known)
		mux.HandleFunc(path, d.guard(func(w http.ResponseWriter, _ *http.Request, _ Caller) error {
			w.Header().Set("Allow", strings.Join(known, ", ")) // RFC 9110 §15.5.6
			return ErrMethod
		}))
	}
}

// open lets everybody in, as the zero Caller.
func (d Door) open(next Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, d.MaxBody)
		if err := next(w, r, Caller{}); err != nil {
			d.Fail(w, r, Caller{}, err)
		}
	}
}

func (d Door) guard(next Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := Admit(w, r, d.MaxBody)
		if err == nil {
			err = next(w, r.WithContext(trail.As(r.Context(), who.Name)), who)
		}
		if err != nil {
			d.Fail(w, r, who, err)
		}
	}
}
