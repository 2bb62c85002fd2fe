package jupyter

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

// TestK10_OrderComesFromTheSpawner: neighbours who can reach a waiting pod can neither order a server, nor keep the
// spawner from it.
func TestK10_OrderComesFromTheSpawner(t *testing.T) {
	id := server.ID{User: "alice"}
	p := newPod(t, recipe{})
	p.ready(http.DefaultClient)
	host := strings.TrimPrefix(p.origin, "http://")
	request := func(line, key, more string) string {
		return line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + "\r\n" + more + "\r\n"
	}
	const large = "Content-Length: 400000\r\n"
	for name, c := range map[string]struct{ text, want string }{
		"no key":            {"POST /perijove/order HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", " 401 "},
		"another pod's key": {request("POST /perijove/order", contract.OrderKey([]byte(orderKey), "ns", "pool-small-1", "n2"), large), " 401 "},
		"part of the key":   {request("GET /perijove/ready", orderKey[:20], ""), " 401 "},
		"a non-ASCII key":   {request("GET /perijove/ready", "ü", ""), " 401 "},
		"two keys":          {request("GET /perijove/ready", orderKey, "Authorization: Bearer x\r\n"), " 401 "},
		"a server's secret": {request("POST /perijove/order", secret, "Content-Length: 2\r\n"), " 401 "},
		"another path":      {request("GET /lab", orderKey, ""), " 404 "},
		"another method":    {request("GET /perijove/order", orderKey, ""), " 404 "},
		"too long":          {request("POST /perijove/order", orderKey, large), " 400 "},
		"no number":         {request("POST /perijove/order", orderKey, "Content-Length: "+strings.Repeat("9", 5000)+"\r\n"), " 400 "},
		"two lengths":       {request("POST /perijove/order", orderKey, "Content-Length: 2\r\nContent-Length: 3\r\n"), " 400 "},
		"no order":          {request("POST /perijove/order", orderKey, "Content-Length: 2\r\n") + "{}", " 400 "},
		"nested":            {request("POST /perijove/order", orderKey, "Content-Length: 200000\r\n") + strings.Repeat("[", 200000), " 400 "},
		"a long head":       {"GET /" + strings.Repeat("x", 100000), ""},
		"no HTTP":           {"\x16\x03\x01\x00\x00\r\n\r\n", " 401 "},
	} {
		if got := say(t, host, c.text); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	bad := p.orderFor(id)
	delete(bad.Env, "PERIJOVE_SERVER_SECRET")
	if err := order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, bad); err == nil || !strings.Contains(err.Error(), "PERIJOVE_SERVER_SECRET") {
		t.Errorf("an order without a secret: %v", err)
	}
	if err := order.Send(t.Context(), http.DefaultClient, p.origin, strings.Repeat("x", 43), p.orderFor(id)); !errors.Is(err, order.ErrKey) {
		t.Errorf("a wrong key: %v", err)
	}
	p.serve(id) // negative control: the right one works after all that
}

// say sends text as it is and returns the answer.
func say(t *testing.T, host, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, text) // it may be refused midway
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// TestK10_SlowNeighbours: a neighbour holds a thousand connections and sends a byte a second on some, and the order goes
// through at once.
func TestK10_SlowNeighbours(t *testing.T) {
	id := server.ID{User: "alice"}
	for _, proof := range []bool{false, true} {
		t.Run(fmt.Sprintf("proof %v", proof), func(t *testing.T) {
			client, r := http.DefaultClient, recipe{}
			if proof {
				servers, services := pki.New(t), pki.New(t)
				client = visitor(t, services.Issue(contract.NameSpawner, time.Hour), servers)
				r.env = []string{"PERIJOVE_PROOF=" + mount(t, servers, services)}
			}
			p := newPod(t, r)
			host := strings.TrimPrefix(p.origin, "http://")
			if proof {
				p.origin = "https://" + host
			}
			p.ready(client)
			for range 1000 {
				conn, err := net.Dial("tcp", host)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, "P")
			}
			began := time.Now()
			o := p.orderFor(id)
			o.Env["PERIJOVE_PROOF"] = strings.TrimPrefix(strings.Join(r.env, ""), "PERIJOVE_PROOF=")
			if err := order.Send(t.Context(), client, p.origin, orderKey, o); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the order took %v", took)
			}
			p.mount()
			p.answers(client, id)
			if p.anew() {
				t.Error("it was started anew")
			}
		})
	}
}

// TestK8_WaitingPodProvesItself: with the platform's certificates an order goes to the right pod only, and comes from a
// service of the platform only.
func TestK8_WaitingPodProvesItself(t *testing.T) {
	servers, services := pki.New(t), pki.New(t)
	spawner := visitor(t, services.Issue(contract.NameSpawner, time.Hour), servers)
	p := newPod(t, recipe{env: []string{"PERIJOVE_PROOF=" + mount(t, servers, services)}})
	plain := p.origin
	p.origin = "https://" + strings.TrimPrefix(p.origin, "http://")
	p.ready(spawner)
	for name, client := range map[string]*http.Client{
		"a neighbour's certificate": visitor(t, servers.Issue(contract.NameSpawner, time.Hour), servers),
		"another installation's":    visitor(t, pki.New(t).Issue(contract.NameSpawner, time.Hour), servers),
		"the pod is another one":    visitor(t, services.Issue(contract.NameSpawner, time.Hour), pki.New(t)),
	} {
		if err := order.Send(t.Context(), client, p.origin, orderKey, p.orderFor(server.ID{User: "alice"})); !errors.Is(err, order.ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := order.Ready(t.Context(), http.DefaultClient, plain, orderKey); err == nil {
		t.Error("it answers without TLS")
	}
	p.ready(spawner)
}

// TestTwoOrdersAtOnce: one wins, and the other one is told so.
func TestTwoOrdersAtOnce(t *testing.T) {
	p := newPod(t, recipe{here: true})
	p.ready(http.DefaultClient)
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			o := p.orderFor(server.ID{User: fmt.Sprintf("user%d", i)})
			errs[i] = order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, o)
		})
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, order.ErrTaken) && !errors.Is(err, order.ErrRefused) && !errors.Is(err, order.ErrGone):
			t.Errorf("order %d: %v", i, err)
		}
	}
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	p.answers(http.DefaultClient, server.ID{User: fmt.Sprintf("user%d", winner)})
	for i := range errs {
		if status, _ := ask(t, "GET", fmt.Sprintf("%s/user/user%d/api", p.origin, i), nil); (status == http.StatusOK) != (i == winner) {
			t.Errorf("user%d is answered %d, and user%d won", i, status, winner)
		}
	}
}

// TestServerThatIsStartedAgain: the container of a claimed pod ends, and the next one finds the user's home and packages
// from its beginning. It waits for its order again.
func TestServerThatIsStartedAgain(t *testing.T) {
	p := newPod(t, recipe{here: true})
	p.ready(http.DefaultClient)
	o := p.orderFor(server.ID{User: "alice"})
	if err := order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, o); err != nil {
		t.Fatal(err)
	}
	if !wait.Poll(5*time.Second, func() bool { return order.Ready(t.Context(), http.DefaultClient, p.origin, orderKey) != nil }) {
		t.Error("it still waits")
	}
	p.answers(http.DefaultClient, server.ID{User: "alice"})
}
