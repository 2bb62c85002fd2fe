package dataplane

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestBigWebsocketMessages: one message of 32 MB goes to the pod and comes back whole. Notebooks
// with many pictures are messages of that size, and a proxy that cuts a message at its buffer's
// size ends the socket: the user's kernel then seems dead.
func TestBigWebsocketMessages(t *testing.T) {
	_, _, alice := withAlice(t)
	conn, code, err := alice.dial("/user/alice/api/kernels/1/channels", origin)
	if err != nil {
		t.Fatalf("%d %v", code, err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxMessage)
	sent := make([]byte, 32<<20)
	_, _ = rand.Read(sent)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	if err := conn.Write(ctx, websocket.MessageBinary, sent); err != nil {
		t.Fatalf("send: %v", err)
	}
	kind, got, err := conn.Read(ctx)
	if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, sent) {
		t.Fatalf("of %d bytes came back %d, %v, %v", len(sent), len(got), kind, err)
	}
	t.Logf("32 MB there and back: %d ms", time.Since(begin).Milliseconds())
	echoes(t, conn, "the socket lives on")
}
