package assets

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/logs"
)

var digest = strings.Repeat("0a", 32)

// service answers with what is in the pointer; "" is no answer.
func service(t *testing.T) (*Client, *atomic.Value, *logs.Buffer) {
	t.Helper()
	var answer atomic.Value
	answer.Store("")
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, _ := answer.Load().(string); text != "" && r.URL.Path == contract.PathAssetsIndex {
			_, _ = fmt.Fprint(w, text)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	out := &logs.Buffer{}
	c := New(srv.Listener.Addr().String(), nil, slog.New(slog.NewTextHandler(out, nil)))
	c.http = srv.Client()
	return c, &answer, out
}

func TestWhatIsServedIsKnownWhileTheServiceAnswers(t *testing.T) {
	c, answer, log := service(t)
	c.ask(t.Context())
	if c.Digest("a:1") != "" || c.First(digest) != nil {
		t.Error("files are known before the service answers")
	}
	answer.Store(fmt.Sprintf(`{"a:1": {"digest": %q, "first": ["main.js?v=1"]}, "b:1": {"digest": "../../hub"}, "c:1": {}}`, digest))
	c.ask(t.Context())
	if got := c.Digest("a:1"); got != digest {
		t.Errorf("digest %q", got)
	}
	if got := c.First(digest); !slices.Equal(got, []string{"/assets/lab/" + digest + "/main.js?v=1"}) {
		t.Errorf("first files: %v", got)
	}
	if c.Digest("b:1") != "" || c.Digest("c:1") != "" || c.First("../../hub") != nil {
		t.Error("what is no digest is taken for one")
	}
	for _, bad := range []string{"", "[]", "{", `{"a:1": "` + strings.Repeat("a", maxIndex) + `"}`} {
		answer.Store(bad)
		c.ask(t.Context())
		if c.Digest("a:1") != "" {
			t.Errorf("after %.20q the files are still known", bad)
		}
	}
	if n := strings.Count(log.String(), "does not answer"); n != 2 {
		t.Errorf("said %d times that the service does not answer, want once each time that it began:\n%s", n, log)
	}
}

func TestItStops(t *testing.T) {
	c, _, _ := service(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
	var none Client
	if none.Digest("a") != "" || none.First("a") != nil {
		t.Error("the zero Client knows files")
	}
}
