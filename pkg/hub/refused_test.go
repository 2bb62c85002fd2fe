package hub

import (
	"errors"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
)

// TestX7_RefusedRouteIsToldAtOnce: the gateway refuses the route of a server that answers. The
// stream, the page and the REST API say so without patience and with a next step; the log has
// the reason once, and no user sees it. Another server of the user, whose route comes, opens.
func TestX7_RefusedRouteIsToldAtOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.served.Store(true)
	for _, path := range []string{"/hub/spawn/alice", "/hub/spawn/alice/fine"} {
		if code, _, _ := e.post(path, nil); code != 303 {
			t.Fatal(code)
		}
	}
	s, err := e.cluster.Get(t.Context(), server.ID{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	e.refused.Store(s.UID, errors.New("version 7: <b>bad</b> reason"))
	e.change("", memory.Answer)
	e.change("fine", memory.Answer)

	const said = "the gateway refuses its address"
	var last progressEvent
	for event := range e.events("/hub/api/users/alice/server/progress") {
		last = event
	}
	if !last.Failed || last.Ready || !strings.Contains(last.Message, said) {
		t.Errorf("the stream ends with %+v", last)
	}
	for range 2 {
		code, _, body := e.get("/hub/spawn-pending/alice")
		if code != 200 || !strings.Contains(body, said) || !strings.Contains(body, "Stop the server and start it again") || strings.Contains(body, "data-progress") {
			t.Errorf("the page answers %d: %s", code, body)
		}
		if !strings.Contains(body, `action="/hub/stop/alice"`) || strings.Contains(body, "bad</b>") || strings.Contains(body, "version 7") {
			t.Errorf("the page offers no stop, or shows the reason: %s", body)
		}
	}
	if code, _, body := e.get("/hub/spawn-pending/alice", "Accept-Language", "zh-Hans"); code != 200 || !strings.Contains(body, "网关拒绝了它的地址") {
		t.Errorf("in Chinese %d: %s", code, body)
	}
	if code, _, body := e.get("/hub/user/alice/lab"); code != 503 || !strings.Contains(body, said) {
		t.Errorf("a page of the server answers %d: %s", code, body)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/server", ""); code != 503 || !strings.Contains(body, said) {
		t.Errorf("the API answers %d: %s", code, body)
	}
	if n := strings.Count(e.log.String(), "bad</b> reason"); n != 1 {
		t.Errorf("the log has the reason %d times", n)
	}

	// Negative control: the other server's route is there.
	if code, to, _ := e.get("/hub/spawn-pending/alice/fine"); code != 302 || to != contract.PathUser+"alice/fine/" {
		t.Errorf("the other server: %d to %q", code, to)
	}
	// The route may come after all: the same page then opens the server.
	e.refused.Delete(s.UID)
	if code, to, _ := e.get("/hub/spawn-pending/alice"); code != 302 || to != contract.PathUser+"alice/" {
		t.Errorf("after the gateway took the route: %d to %q", code, to)
	}
}
