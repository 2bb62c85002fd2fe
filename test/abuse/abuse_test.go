package abuse

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

var bob, alice = Sender{"hub.test:8000", "a=bob"}, Sender{"hub.test:8000", "a=alice"}

func catalogue() (all []Case) {
	for _, part := range [][]Case{
		PathsToAlice(bob, alice), Hosts(bob), Malformed(alice), Tunnels(Sender{Host: bob.Host}, bob, alice), Large(alice, "/user/alice/x"),
	} {
		all = append(all, part...)
	}
	return all
}

// An edge that let everything through, or that was down, would be noticed by every case.
func TestJudgeSeesABrokenGuard(t *testing.T) {
	for _, c := range catalogue() {
		for _, code := range []int{200, 500, 503} {
			if c.Judge(Answer{Code: code}) == nil && (code != 200 || c.Want != Elsewhere && c.Want != Mended) {
				t.Errorf("%s %s takes %d for a success", c.ID, c.Name, code)
			}
		}
	}
}

// Every case says where it belongs and has a twin that is not itself.
func TestCatalogueIsWhole(t *testing.T) {
	for _, c := range catalogue() {
		if c.ID == "" || c.Name == "" || c.Twin == nil || c.H1 == "" && c.H2 == nil {
			t.Errorf("incomplete: %s %s", c.ID, c.Name)
			continue
		}
		if c.H1 != "" && c.H1 == c.Twin.H1 {
			t.Errorf("%s %s is its own twin", c.ID, c.Name)
		}
	}
}

// What is written is what is sent: nothing cleans an attack.
func TestSendH1IsVerbatim(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	text := bob.Get("/user/bob/../alice/%2e%2e//x", "X-A : b\rc").H1
	got := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		read := make([]byte, len(text))
		_, _ = io.ReadFull(bufio.NewReader(conn), read)
		got <- string(read)
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	}()
	answer, err := SendH1(listener.Addr().String(), text)
	if err != nil || !answer.Refused() {
		t.Errorf("answer %d, %v", answer.Code, err)
	}
	if sent := <-got; sent != text || !strings.Contains(sent, "X-A : b\rc") {
		t.Errorf("sent %q, want %q", sent, text)
	}
}
