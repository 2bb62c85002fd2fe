package dataplane

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
)

// TestAnswerThatIsLost: the spawner that was to answer is killed, and its connection with it.
// Envoy asks another replica for a page. It sends no form a second time.
func TestAnswerThatIsLost(t *testing.T) {
	s := newEnv(t)
	alice := s.login("alice")
	s.stopSpawner()
	var mu sync.Mutex
	asked := map[string]int{}
	s.dyingHub(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Method]++
		first := asked[r.Method] == 1
		mu.Unlock()
		if first {
			panic(http.ErrAbortHandler) // resets the stream before an answer
		}
		_, _ = fmt.Fprint(w, "a page")
	})
	if r := alice.send("GET", contract.PathHome, nil, false); r.code != http.StatusOK || r.body != "a page" || asked["GET"] != 2 {
		t.Errorf("a page, asked for %d times: %d %s", asked["GET"], r.code, r.body)
	}
	if r := alice.send("POST", contract.PathSpawn, url.Values{}, false); r.code != http.StatusServiceUnavailable || asked["POST"] != 1 {
		t.Errorf("a form, sent %d times: %d %s", asked["POST"], r.code, r.body)
	}
}

// dyingHub answers in the spawner's place.
func (s *env) dyingHub(handler http.HandlerFunc) {
	s.t.Helper()
	config, err := mtls.Server(s.spawn, []string{contract.NameGateway})
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := run.Listen("127.0.0.1:8081")
	if err != nil {
		s.t.Fatal(err)
	}
	s.run("hub", func(ctx context.Context, log *slog.Logger) error {
		return run.ServeHTTP(ctx, "hub", l, config, handler, log)
	})
}
