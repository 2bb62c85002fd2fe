package liveness

import (
	"context"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
)

func TestIdleSessionEnds(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	e.pass(idleTime - time.Second)
	k.Seen(s, false) // a tab that nobody looks at asks for news
	if ended(k, s) {
		t.Error("ended before its time")
	}
	e.pass(time.Second)
	if !ended(k, s) {
		t.Error("what a page asks by itself kept the session alive")
	}
}

func TestActivityKeepsTheSession(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	e.pass(idleTime - time.Second)
	k.Seen(s, true)
	e.pass(idleTime - time.Second)
	if ended(k, s) {
		t.Error("a session in use ended")
	}
	e.pass(time.Second)
	if !ended(k, s) {
		t.Error("it never ends")
	}
}

// TestReplicasAgreeOnIdle: one replica sees all the activity, the other none; both end
// the session at the same moment, and little is written.
func TestReplicasAgreeOnIdle(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	s := e.login(t, a, "s")
	knows(t, b, "alice", hasSession("s", s.Since))
	var last time.Time
	writes := e.calls.Load()
	for range 20 { // 20 minutes of work, a flush after each
		e.pass(time.Minute)
		last = e.now()
		a.Seen(s, true)
		a.Flush(t.Context())
	}
	if got := e.calls.Load() - writes; got > 2 { // one reading and one writing
		t.Errorf("%d calls for 20 minutes of activity", got)
	}
	e.pass(idleTime / 4)
	a.Flush(t.Context()) // nothing new was seen: what was held back is written now
	knows(t, b, "alice", hasSession("s", last))
	e.pass(last.Add(idleTime).Sub(e.now()) - time.Second)
	if ended(a, s) || ended(b, s) {
		t.Error("ended too early")
	}
	e.pass(time.Second)
	if !ended(a, s) || !ended(b, s) {
		t.Errorf("at one moment it is over here: %v, there: %v", ended(a, s), ended(b, s))
	}
}

// TestRestartLosesNothing: what a replica has seen and not written, it writes when it is
// told to stop.
func TestRestartLosesNothing(t *testing.T) {
	e := newEnv(t)
	a := e.replica(t)
	s := e.login(t, a, "s")
	e.pass(time.Minute)
	a.Seen(s, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	b := e.replica(t)
	knows(t, b, "alice", hasSession("s", e.now()))
}

func TestTracesAreForgotten(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	k.Seen(s, true)
	k.UsedToken("alice", account.Token{ID: "gone"})
	k.Flush(t.Context())
	if len(k.usages) != 2 {
		t.Errorf("%d traces of what was just seen", len(k.usages))
	}
	e.pass(idleTime)
	k.Flush(t.Context())
	k.Flush(t.Context())
	if len(k.usages) != 0 {
		t.Errorf("%d traces are kept for ever", len(k.usages))
	}
}
