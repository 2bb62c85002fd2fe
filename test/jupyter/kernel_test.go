package jupyter

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// kernel is the websocket to a kernel of a real server.
type kernel struct {
	t    *testing.T
	conn *websocket.Conn
}

// newKernel starts a kernel of the server at base.
func newKernel(t *testing.T, client *http.Client, base string) *kernel {
	t.Helper()
	code, body := send(t, client, "POST", base+"api/kernels", gateway(contract.HeaderByToken, "true"))
	var started struct{ ID string }
	if err := json.Unmarshal(body, &started); err != nil || code != http.StatusCreated {
		t.Fatalf("start a kernel: %d %s", code, body)
	}
	headers := http.Header{}
	for k, v := range gateway() {
		headers.Set(k, v)
	}
	url := "ws" + strings.TrimPrefix(base, "http") + "api/kernels/" + started.ID + "/channels"
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: client, HTTPHeader: headers})
	if err != nil {
		t.Fatalf("the kernel's websocket: %v", err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &kernel{t, conn}
}

// ask sends kind_request and reads the content of the kind_reply into answer, unless that is nil.
func (k *kernel) ask(kind string, content map[string]any, answer any) {
	k.t.Helper()
	k.send(kind, content)
	k.answer(kind, answer)
}

// send sends kind_request and waits for nothing.
func (k *kernel) send(kind string, content map[string]any) {
	k.t.Helper()
	question := map[string]any{
		"channel": "shell", "content": content, "metadata": map[string]any{}, "parent_header": map[string]any{}, "buffers": []any{},
		"header": map[string]any{"msg_id": kind, "session": "s", "username": "alice", "msg_type": kind + "_request", "version": "5.3", "date": "2026-01-01T00:00:00Z"},
	}
	if err := wsjson.Write(k.t.Context(), k.conn, question); err != nil {
		k.t.Fatal(err)
	}
}

// answer reads up to the content of the kind_reply.
func (k *kernel) answer(kind string, answer any) {
	k.t.Helper()
	for {
		var got struct {
			Header struct {
				Type string `json:"msg_type"`
			}
			Content json.RawMessage
		}
		if err := wsjson.Read(k.t.Context(), k.conn, &got); err != nil {
			k.t.Fatalf("the kernel does not answer %s: %v", kind, err)
		}
		if got.Header.Type != kind+"_reply" {
			continue
		}
		if answer != nil {
			if err := json.Unmarshal(got.Content, answer); err != nil {
				k.t.Fatal(err)
			}
		}
		return
	}
}

// TestBigKernelMessage: a message of 12 MiB, more than the 10 MiB at which Tornado ends a
// websocket by default, reaches the kernel whole.
func TestBigKernelMessage(t *testing.T) {
	const size = 12 << 20
	id := server.ID{User: "alice"}
	k := newKernel(t, http.DefaultClient, start(t, id)+id.Prefix())
	var answer struct {
		Status      string
		Expressions map[string]struct{ Data map[string]string } `json:"user_expressions"`
	}
	k.ask("execute", map[string]any{
		"code": "x = '" + strings.Repeat("a", size) + "'", "silent": true, "store_history": false,
		"user_expressions": map[string]string{"n": "len(x)"}, "allow_stdin": false, "stop_on_error": true,
	}, &answer)
	if got := answer.Expressions["n"].Data["text/plain"]; answer.Status != "ok" || got != "12582912" {
		t.Errorf("of %d bytes the kernel got %q: %s", size, got, answer.Status)
	}
}
