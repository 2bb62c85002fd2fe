package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/keys"
)

// TestPagesOfNoUser: static files and the keys of passes are for every client, and a path that
// does not exist is 404.
func TestPagesOfNoUser(t *testing.T) {
	t.Parallel()
	renderer, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	mux := newMux(keys.Passes(t), renderer, slog.New(slog.DiscardHandler))
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/hub/static/app.css":  {http.StatusOK, "{"},
		"/hub/static/none.css": {http.StatusNotFound, ""},
		contract.PathPassKeys:  {http.StatusOK, `"kty":"EC"`},
		"/":                    {http.StatusNotFound, "<html"},
		"/hub/nothing":         {http.StatusNotFound, "<html"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), `"d":`) {
			t.Errorf("%s holds a private key", path)
		}
	}
}
