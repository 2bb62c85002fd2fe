package caller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestFrom(t *testing.T) {
	got, err := From(headers(contract.HeaderUser, "b%C3%B6b", contract.HeaderDisplayName, "B%0A", contract.HeaderAdmin, "true", contract.HeaderXSRF, "x", contract.HeaderSession, "s", contract.HeaderGroups, "staff r%20&%20d"))
	want := Caller{User: access.User{Name: "böb", DisplayName: "B\n", Admin: true, Groups: []string{"staff", "r & d"}}, Session: "s", xsrf: "x"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Caller{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err = From(headers(contract.HeaderUser, "bob", contract.HeaderScopes, "servers%21user=a%20b self"))
	want = Caller{User: access.User{Name: "bob"}, ByToken: true, Scopes: []string{"servers!user=a b", "self"}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Caller{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err = From(headers(contract.HeaderUser, "carol", contract.HeaderAdmin, "true", contract.HeaderSubject, "b%20b r%20&%20d staff"))
	if want := (access.User{Name: "b b", Groups: []string{"r & d", "staff"}}); err != nil || cmp.Diff(want, got.Subject) != "" {
		t.Errorf("whom it is about: %+v %v", got.Subject, err)
	}
	if got, err := From(headers(contract.HeaderUser, "bob", contract.HeaderSubject, "alice physics")); err != nil || got.Subject.Name != "" {
		t.Errorf("of somebody who is no administrator: %+v %v", got.Subject, err)
	}
	if got, err := From(headers(contract.HeaderUser, "bob", contract.HeaderScopes, "")); err != nil || !got.ByToken || len(got.Scopes) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestH1_NothingIsChosenFrom: twice, not encoded, absent or impossible.
func TestH1_NothingIsChosenFrom(t *testing.T) {
	for _, key := range []string{contract.HeaderUser, contract.HeaderDisplayName, contract.HeaderAdmin, contract.HeaderXSRF, contract.HeaderSession, contract.HeaderScopes, contract.HeaderGroups, contract.HeaderSubject} {
		h := headers(contract.HeaderUser, "bob")
		h.Add(key, "x")
		h.Add(key, "x")
		if _, err := From(h); !errors.Is(err, ErrAnonymous) {
			t.Errorf("%s twice: %v", key, err)
		}
		h = headers(contract.HeaderUser, "bob")
		h.Set(key, "%zz")
		if _, err := From(h); !errors.Is(err, ErrAnonymous) {
			t.Errorf("%s is not encoded: %v", key, err)
		}
	}
	for _, h := range []http.Header{{}, headers(contract.HeaderUser, ""), headers(contract.HeaderUser, "..%2Falice"), headers(contract.HeaderAdmin, "true")} {
		if _, err := From(h); !errors.Is(err, ErrAnonymous) {
			t.Errorf("%v: %v", h, err)
		}
	}
}

func TestS9_CheckXSRF(t *testing.T) {
	v := Caller{User: access.User{Name: "alice"}, xsrf: "right"}
	for name, c := range map[string]struct {
		who  Caller
		make func(*http.Request)
		ok   bool
	}{
		"in the form":          {v, func(r *http.Request) {}, true},
		"in the header":        {v, func(r *http.Request) { r.Body = http.NoBody; r.Header.Set(contract.XSRFHeader, "right") }, true},
		"none":                 {v, func(r *http.Request) { r.Body = http.NoBody }, false},
		"wrong":                {v, func(r *http.Request) { r.Header.Set(contract.XSRFHeader, "wrong") }, false},
		"in the URL":           {v, func(r *http.Request) { r.Body = http.NoBody; r.URL.RawQuery = "_xsrf=right" }, false},
		"from another site":    {v, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, false},
		"no session, no token": {Caller{User: access.User{Name: "alice"}}, func(r *http.Request) {}, false},
		"an API token":         {Caller{User: access.User{Name: "alice"}, ByToken: true}, func(r *http.Request) { r.Body = http.NoBody }, true},
	} {
		r := httptest.NewRequest(http.MethodPost, "/hub/token", strings.NewReader("_xsrf=right"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		c.make(r)
		if err := c.who.CheckXSRF(r); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsOpen: the door asks nobody who reads the version who they are, and believes nothing they
// say about it; it asks everybody else.
func TestWhatIsOpen(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	operations := map[string]Handler{}
	for _, e := range contract.EndpointsOf(contract.UpstreamHub) {
		operations[e.Operation] = func(w http.ResponseWriter, _ *http.Request, who Caller) error {
			if who.Name == "" && !e.Open() || who.Name != "" && e.Open() {
				t.Errorf("%s by %q", e.Pattern(), who.Name)
			}
			return nil
		}
	}
	Door{Fail: func(w http.ResponseWriter, _ *http.Request, _ Caller, _ error) {
		w.WriteHeader(http.StatusUnauthorized)
	}}.Register(mux, nil, contract.UpstreamHub, operations)
	for _, e := range contract.EndpointsOf(contract.UpstreamHub) {
		for _, name := range []string{"", "alice"} {
			r := httptest.NewRequest(e.Method, strings.NewReplacer("{$}", "", "{", "", "}", "").Replace(e.Path), nil)
			if name != "" {
				r.Header.Set(contract.HeaderUser, name)
				r.Header.Set(contract.HeaderScopes, "self")
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if ok := w.Code == http.StatusOK; ok != (name != "" || e.Open()) {
				t.Errorf("%s by %q: %d", e.Pattern(), name, w.Code)
			}
		}
	}
}
