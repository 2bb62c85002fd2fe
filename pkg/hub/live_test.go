package hub

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// live opens the stream of a home page and returns its events; the channel is closed at its end.
func (e *env) live(headers ...string) <-chan liveEvent {
	e.t.Helper()
	resp := e.send(request{method: "GET", path: pathLive, headers: headers})
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		e.t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan liveEvent, 100)
	go func() {
		defer close(out)
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || data == "" {
				continue
			}
			var got liveEvent
			if err := json.Unmarshal([]byte(data), &got); err != nil {
				e.t.Errorf("%v: %q", err, data)
			}
			out <- got
		}
	}()
	return out
}

// until reads events until one fits.
func until(t *testing.T, what string, stream <-chan liveEvent, fits func(liveEvent) bool) liveEvent {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case got, more := <-stream:
			if !more {
				t.Fatalf("the stream ends before %s", what)
			}
			if fits(got) {
				return got
			}
		case <-late:
			t.Fatalf("no event says %s", what)
		}
	}
}

// TestHomeIsLive: a stream begins with the whole list, and then brings each server that changes, and
// no other, in the user's language and as the page has it.
func TestHomeIsLive(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.hub.Consumption = func(context.Context, spawn.Measured) (spawn.Consumption, bool) {
		return spawn.Consumption{CPU: new(int64(250)), Memory: new(int64(1 << 29))}, true
	}
	e.startFor("alice", "lab")
	stream := e.live("Accept-Language", "zh-CN")
	first := <-stream
	if !slices.Equal(first.Order, []string{"", "lab"}) || len(first.Changed) != 2 || first.Usage == nil || !strings.Contains(first.Changed["lab"], "正在启动") {
		t.Errorf("first: %+v", first)
	}
	e.startFor("bob", "") // nothing of alice's
	e.become("bob", memory.Answer)
	e.startFor("alice", "")
	got := until(t, "that the server starts", stream, func(l liveEvent) bool { return l.Changed[""] != "" })
	if _, other := got.Changed["lab"]; other || got.Usage != nil {
		t.Errorf("what has not changed is sent: %+v", got)
	}
	e.change("", memory.Answer)
	e.change("", func(pod *corev1.Pod) { pod.Status.HostIP = "10.1.2.3" })
	got = until(t, "what it takes", stream, func(l liveEvent) bool { return strings.Contains(l.Changed[""], "<meter") })
	for _, want := range []string{"运行中", "0.25 / 0.5 核", `value="50"`, "512 MiB / 1 GiB"} {
		if !strings.Contains(got.Changed[""], want) {
			t.Errorf("no %q in\n%s", want, got.Changed[""])
		}
	}
	_, _, page := e.get("/hub/home", "Accept-Language", "zh-CN")
	if !strings.Contains(page, got.Changed[""]) {
		t.Errorf("the page has another form than the stream:\n%s\n%s", got.Changed[""], page)
	}
	if _, err := e.cluster.Stop(t.Context(), server.ID{User: "alice", Name: "lab"}, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := e.cluster.Forget(t.Context(), server.ID{User: "alice", Name: "lab"}); err != nil {
		t.Fatal(err)
	}
	e.startFor("alice", "other")
	got = until(t, "another order", stream, func(l liveEvent) bool { return slices.Contains(l.Order, "other") })
	if !slices.Equal(got.Order, []string{"", "other"}) {
		t.Errorf("order: %q", got.Order)
	}
}

// TestD7_LiveStreamsAreBounded: so many of one user, and each only for a time, so that a session which
// has ended is asked about again. The service's end is theirs.
func TestD7_LiveStreamsAreBounded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	done := make(chan struct{})
	e.hub.Done = done
	var streams []<-chan liveEvent
	for range maxStreams {
		streams = append(streams, e.live())
	}
	if code, _, _ := e.get(pathLive); code != http.StatusTooManyRequests {
		t.Errorf("one more: %d", code)
	}
	e.live(contract.HeaderUser, "-", contract.HeaderUser, "bob") // others have places of their own
	close(done)
	for _, s := range streams {
		wait.Until(t, "the stream ends with the service", func() bool {
			select {
			case _, more := <-s:
				return !more
			default:
				return false
			}
		})
	}
	wait.Until(t, "the places are free", func() bool { return e.open("alice") == 0 })
}

func TestLiveStreamsEndInTime(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.hub.liveFor = 50 * time.Millisecond
	resp := e.send(request{method: "GET", path: pathLive})
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(body), "retry: 2000\n") {
		t.Errorf("%v: %q", err, body)
	}
	wait.Until(t, "the place is free", func() bool { return e.open("alice") == 0 })
}

// open is how many streams of a user are open.
func (e *env) open(user string) int {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	return e.hub.streams[user]
}

// TestD7_SleepingReaderLosesItsPlace: a browser that sleeps keeps its connection and reads nothing.
// The stream ends when nothing more fits into the connection, and one that reads keeps its own.
func TestD7_SleepingReaderLosesItsPlace(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.hub.writeWait = 200 * time.Millisecond
	e.hub.liveFor, e.hub.livePause = time.Hour, time.Millisecond
	srv := httptest.NewUnstartedServer(telemetry.HTTP(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), "spawner", e.hub.Handler()))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	srv.Start()
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s: sleeper\r\n\r\n", pathLive, contract.HeaderUser); err != nil {
		t.Fatal(err)
	}
	awake := e.live()
	<-awake
	wait.Until(t, "the stream is open", func() bool { return e.open("sleeper") == 1 })
	runs := false
	wait.Until(t, "a reader that reads nothing loses its place", func() bool { // wait pauses between two looks
		if runs = !runs; runs {
			e.startFor("sleeper", "")
		} else if _, err := e.cluster.Stop(t.Context(), server.ID{User: "sleeper"}, time.Second); err != nil {
			t.Error(err)
		}
		return e.open("sleeper") == 0
	})
	e.startFor("alice", "")
	until(t, "that alice's server starts", awake, func(l liveEvent) bool { return strings.Contains(l.Changed[""], "pending") })
}
