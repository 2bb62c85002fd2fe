package quota

import (
	"testing"
	"time"
)

// TestWaiting: a start is claimed by one replica, by another one only after the lease; what is done
// about one request never meets a later one.
func TestWaiting(t *testing.T) {
	t.Parallel()
	const lease = time.Minute
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	r := Record{Subject: "alice"}.Enqueue("a", Wait{Ticket: "1", Asked: at(0), Turn: at(0)}).Enqueue("b", Wait{Ticket: "2", Asked: at(1), Turn: at(1)})
	if _, ok := r.Claim("a", "0", "n1", lease, at(2)); ok {
		t.Error("claimed with the ticket of another request")
	}
	claimed, ok := r.Claim("a", "1", "n1", lease, at(2))
	if !ok || claimed.Waiting["a"].Tries != 1 || r.Waiting["a"].Tries != 0 {
		t.Errorf("%v, %+v; before %+v", ok, claimed.Waiting["a"], r.Waiting["a"])
	}
	if !claimed.Waiting["b"].Turn.Equal(at(2)) || !claimed.Waiting["b"].Asked.Equal(at(1)) {
		t.Errorf("the user's other start does not queue anew: %+v", claimed.Waiting["b"])
	}
	if _, ok := claimed.Claim("a", "1", "n2", lease, at(62)); ok {
		t.Error("claimed twice within the lease")
	}
	if same, ok := claimed.Claim("a", "1", "n1", lease, at(3)); !ok || same.Waiting["a"].Tries != 1 {
		t.Errorf("the same claim: %v, %+v", ok, same.Waiting["a"])
	}
	if again, ok := claimed.Claim("a", "1", "n2", lease, at(63)); !ok || again.Waiting["a"].Tries != 2 {
		t.Errorf("after the lease: %v, %+v", ok, again.Waiting["a"])
	}
	refused, ok := claimed.Refuse("a", "1", Told{Message: "no", At: at(3)})
	if !ok || refused.Waits("a") || refused.Queued() != 1 || claimed.Queued() != 2 {
		t.Errorf("%v, %+v", ok, refused)
	}
	if _, ok := refused.Claim("a", "1", "n1", lease, at(100)); ok {
		t.Error("claimed what was refused")
	}
	if _, ok := refused.Refuse("b", "1", Told{}); ok {
		t.Error("refused another request")
	}
	if _, ok := refused.Leave("a", "2"); ok {
		t.Error("another request left")
	}
	text, err := refused.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse(text, "alice")
	if err != nil || read.Waiting["a"].Refused == nil || read.Waiting["b"].Ticket != "2" {
		t.Errorf("%v, %s", err, text)
	}
	if left, ok := read.Leave("a", ""); !ok || len(left.Waiting) != 1 {
		t.Errorf("%v, %+v", ok, left)
	}
}
