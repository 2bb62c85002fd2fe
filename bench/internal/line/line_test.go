package line

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestLine: bytes come whole, as late and as slowly as the line says, and connections share it.
func TestLine(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789"), 5_000)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write(body)
		}
	}))
	defer site.Close()
	const rate, roundTrip = 200_000, 100 * time.Millisecond
	l, err := Open(t.Context(), strings.TrimPrefix(site.URL, "http://"), rate, roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) time.Duration {
		began := time.Now()
		resp, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + l.Addr() + path)
		if err != nil {
			t.Error(err)
			return 0
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || path == "/long" && !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes came, %v", path, len(got), err)
		}
		return time.Since(began)
	}
	if took := ask("/"); took < 2*roundTrip || took > 4*roundTrip {
		t.Errorf("handshake and answer took %v, want two round trips of %v", took, roundTrip)
	}
	const each = 250 * time.Millisecond // 50 kB by 200 kB/s
	took := make(chan time.Duration)
	for range 2 {
		go func() { took <- ask("/long") }()
	}
	if last := max(<-took, <-took); last < 2*each || last > 4*each {
		t.Errorf("two of 50 kB took %v, want %v and two round trips", last, 2*each)
	}
}

// TestEnd: a site that closes ends the near connection too.
func TestEnd(t *testing.T) {
	t.Parallel()
	site, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = site.Close() }()
	go func() {
		conn, err := site.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("bye"))
		_ = conn.Close()
	}()
	l, err := Open(t.Context(), site.Addr().String(), 1<<20, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(conn); err != nil || string(got) != "bye" {
		t.Errorf("got %q, %v", got, err)
	}
}
