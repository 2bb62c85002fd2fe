package order_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn/order"
)

const key = "the key of one pod"

var alice = order.Order{Home: "/home/jovyan", Late: "late", Env: map[string]string{"HOME": "/home/jovyan", "PERIJOVE_SERVER_SECRET": "a secret"}}

// pod answers like a process that waits, with status, and keeps what it was asked.
func pod(t *testing.T, status int, server string) (origin string, asked *http.Request, got *order.Order) {
	t.Helper()
	asked, got = &http.Request{}, &order.Order{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = *r
		_ = json.NewDecoder(r.Body).Decode(got) // an empty body is asked about below
		if server != "" {
			w.Header().Set("Server", server)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("why"))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked, got
}

func TestAnOrderAndItsAnswers(t *testing.T) {
	origin, asked, got := pod(t, http.StatusAccepted, "perijove-waiting")
	if err := order.Send(t.Context(), http.DefaultClient, origin, key, alice); err != nil {
		t.Fatal(err)
	}
	if asked.Method != "POST" || asked.URL.Path != "/perijove/order" || asked.Header.Get("Authorization") != "Bearer "+key {
		t.Errorf("asked %s %s with %q", asked.Method, asked.URL, asked.Header.Get("Authorization"))
	}
	if got.Home != alice.Home || got.Late != alice.Late || got.Env["PERIJOVE_SERVER_SECRET"] != "a secret" {
		t.Errorf("the pod got %+v", got)
	}
	origin, asked, _ = pod(t, http.StatusNoContent, "perijove-waiting")
	if err := order.Ready(t.Context(), http.DefaultClient, origin, key); err != nil || asked.URL.Path != "/perijove/ready" || asked.Method != "GET" {
		t.Errorf("ready: %v after %s %s", err, asked.Method, asked.URL)
	}
	for status, want := range map[int]error{401: order.ErrKey, 409: order.ErrTaken} {
		origin, _, _ = pod(t, status, "perijove-waiting")
		if err := order.Send(t.Context(), http.DefaultClient, origin, key, alice); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	origin, _, _ = pod(t, 400, "perijove-waiting")
	if err := order.Send(t.Context(), http.DefaultClient, origin, key, alice); err == nil || !strings.Contains(err.Error(), "why") || errors.Is(err, order.ErrGone) {
		t.Errorf("400: %v", err)
	}
}

// TestOnlyAWaitingProcessIsBelieved: what answers is the server that took its order, whatever it says.
func TestOnlyAWaitingProcessIsBelieved(t *testing.T) {
	for _, server := range []string{"", "TornadoServer/6.5"} {
		for _, status := range []int{200, 202, 204, 302, 401, 403, 404} {
			origin, _, _ := pod(t, status, server)
			if err := order.Send(t.Context(), http.DefaultClient, origin, key, alice); !errors.Is(err, order.ErrTaken) {
				t.Errorf("%q %d: %v", server, status, err)
			}
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if err := order.Ready(t.Context(), http.DefaultClient, "http://"+closed.Addr().String(), key); !errors.Is(err, order.ErrRefused) {
		t.Errorf("nothing listens: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	client := &http.Client{Timeout: 50 * time.Millisecond}
	err = order.Send(t.Context(), client, "http://"+silent.Addr().String(), key, alice)
	if !errors.Is(err, order.ErrGone) || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "a secret") {
		t.Errorf("no answer: %v", err)
	}
}

// TestBadOrdersAreNotSent: an environment that a process cannot have never leaves the spawner, and no error holds a value.
func TestBadOrdersAreNotSent(t *testing.T) {
	for name, bad := range map[string]order.Order{
		"no home":          {Env: map[string]string{"HOME": ""}},
		"a relative home":  {Home: "home", Env: map[string]string{"HOME": "home"}},
		"another home":     {Home: "/home/jovyan", Env: map[string]string{"HOME": "/home/bob"}},
		"an equals sign":   {Home: "/h", Env: map[string]string{"HOME": "/h", "A=B": "a secret"}},
		"no name":          {Home: "/h", Env: map[string]string{"HOME": "/h", "": "a secret"}},
		"a zero":           {Home: "/h", Env: map[string]string{"HOME": "/h", "A": "a secret\x00"}},
		"a large variable": {Home: "/h", Env: map[string]string{"HOME": "/h", "A": "a secret" + strings.Repeat("x", 256<<10)}},
	} {
		err := order.Send(t.Context(), http.DefaultClient, "http://nowhere.invalid", key, bad)
		if err == nil || errors.Is(err, order.ErrGone) || strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandsThatCanWait(t *testing.T) {
	for _, command := range [][]string{nil, {"jupyter-lab"}, {"/opt/conda/bin/jupyter-lab", "--debug"}, {"quick-lab"}, {"jupyter", "lab"}} {
		if !order.Known(command) {
			t.Errorf("%q is not known", command)
		}
	}
	for _, command := range [][]string{{"jupyter"}, {"jupyter", "notebook"}, {"start-notebook.sh"}, {"sh", "-c", "jupyter-lab"}, {"jupyter-labhub"}, {""}} {
		if order.Known(command) {
			t.Errorf("%q is known", command)
		}
	}
}
