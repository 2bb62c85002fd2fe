package visitor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/contract"
)

const form = `<form><input type="hidden" name="` + contract.XSRFName + `" value="t0ken"></form>`

// site is a hub that refuses the first start and lets the second one fail.
func site(t *testing.T) Site {
	t.Helper()
	starts, streams := 0, 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hub/login", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, form) })
	mux.HandleFunc("POST /hub/login", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("password") != "right" || r.PostFormValue(contract.XSRFName) != "t0ken" {
			_, _ = fmt.Fprint(w, form) // once more
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: r.PostFormValue("username"), Path: "/"})
		http.Redirect(w, r, contract.PathHome, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /hub/home", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /hub/spawn", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, form) })
	mux.HandleFunc("GET /hub/spawn-pending/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /hub/spawn", func(w http.ResponseWriter, r *http.Request) {
		if starts++; starts == 1 {
			http.Error(w, "busy", http.StatusTooManyRequests)
			return
		}
		http.Redirect(w, r, "/hub/spawn-pending/alice", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /hub/api/users/alice/server/progress", func(w http.ResponseWriter, _ *http.Request) {
		if streams++; streams == 1 {
			_, _ = fmt.Fprint(w, "data:{\"failed\": true, \"message\": \"no node\"}\n\n")
			return
		}
		_, _ = fmt.Fprint(w, ": alive\n\ndata:{\"progress\": 50}\n\ndata:{\"ready\": true}\n\n")
	})
	mux.HandleFunc("GET /user/alice/", func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("session")
		if err != nil {
			http.Error(w, "who?", http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprint(w, session.Value)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return Site{Base: "http://hub.test", Addr: strings.TrimPrefix(s.URL, "http://"), Form: true, Click: time.Millisecond}
}

func TestVisit(t *testing.T) {
	t.Parallel()
	v, err := New(site(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx := t.Context()
	if err := v.Login(ctx, "right"); err != nil {
		t.Fatal(err)
	}
	if _, failed, err := v.Serve(ctx); err != nil || failed != 1 {
		t.Errorf("%d failed starts, want 1; %v", failed, err)
	}
	if page, err := v.Open(ctx, ""); page != "alice" || err != nil {
		t.Errorf("the page is %q, %v", page, err)
	}
	if diff := cmp.Diff(map[int]int{http.StatusTooManyRequests: 1}, v.Refused); diff != "" {
		t.Error(diff)
	}
}

// TestWrongPassword: a form that comes again is a refusal, whatever its status.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	v, err := New(site(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := v.Login(ctx, "wrong"); err == nil || v.Refused[http.StatusOK] == 0 {
		t.Errorf("%v, %v", err, v.Refused)
	}
}
