package quota

import (
	"encoding/json"
	"time"
)

// Wait is a start that waits for a free place, in its owner's record by the server's name.
type Wait struct {
	// Ticket is random, so that what is done about one request never meets a later one.
	Ticket string    `json:"ticket"`
	Asked  time.Time `json:"asked"`
	// Turn is when it was asked for, or when its owner's start before it left the queue: who asks
	// for many starts queues anew for each.
	Turn time.Time `json:"turn"`
	// Groups are the owner's when it was asked for.
	Groups []string `json:"groups,omitempty"`
	// Options is what was chosen, as JSON.
	Options json.RawMessage `json:"options,omitempty"`
	// DisplayName is what the user typed; untrusted, to be escaped.
	DisplayName string `json:"display_name,omitempty"`
	// By is the spawner replica that the start is left to for a moment: the one that was asked.
	By string `json:"by"`
	// Claimed is when a replica began to make the server; zero before.
	Claimed time.Time `json:"claimed,omitzero"`
	// Nonce is that of the pod that the replica wants to make.
	Nonce string `json:"nonce,omitempty"`
	// Tries counts the claims.
	Tries int `json:"tries,omitempty"`
	// After is the UID of the pod that goes first: the start is a restart. "" for none.
	After string `json:"after,omitempty"`
	// Cold says that no waiting pod is to become the server.
	Cold bool `json:"cold,omitempty"`
	// Refused is why the server was not made when its turn came; nil while it waits.
	Refused *Told `json:"refused,omitempty"`
}

// Told is what a user reads about a start that was refused at its turn.
type Told struct {
	Message string            `json:"message"`
	Next    string            `json:"next,omitempty"`
	Data    map[string]string `json:"data,omitempty"`
	// Detail is the cluster's own words; untrusted, to be escaped.
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// Claimable reports whether a replica may begin to make the server: nobody has, or whoever did has
// not come to an end within lease.
func (w Wait) Claimable(lease time.Duration, now time.Time) bool {
	return w.Refused == nil && now.Sub(w.Claimed) > lease
}

// Waits reports whether the start of a server waits.
func (r Record) Waits(name string) bool {
	w, ok := r.Waiting[name]
	return ok && w.Refused == nil
}

// Queued is how many of the user's starts wait.
func (r Record) Queued() (n int) {
	for name := range r.Waiting {
		if r.Waits(name) {
			n++
		}
	}
	return n
}

// Enqueue puts a start into the record, in the place of one that was refused.
func (r Record) Enqueue(name string, w Wait) Record {
	out := r.copied()
	out.Waiting[name] = w
	return out
}

// Restarts reports whether the start of a server waits for the end of a pod.
func (r Record) Restarts(name, uid string) bool {
	return uid != "" && r.Waits(name) && r.Waiting[name].After == uid
}

// Claim takes note that a replica begins to make the server, with a pod of this nonce, and reports
// whether it may. The user's other starts queue anew. Claiming twice for one pod is claiming once.
func (r Record) Claim(name, ticket, nonce string, lease time.Duration, now time.Time) (Record, bool) {
	w, ok := r.Waiting[name]
	switch {
	case !ok || w.Ticket != ticket:
		return r, false
	case w.Refused == nil && w.Nonce == nonce:
		return r, true
	case !w.Claimable(lease, now):
		return r, false
	}
	out := r.copied()
	for other, waits := range out.Waiting {
		waits.Turn = now
		out.Waiting[other] = waits
	}
	w.Claimed, w.Nonce = now, nonce
	w.Tries++
	out.Waiting[name] = w
	return out, true
}

// Leave takes a start out of the queue; ticket is "" for whichever it is.
func (r Record) Leave(name, ticket string) (Record, bool) {
	w, ok := r.Waiting[name]
	if !ok || ticket != "" && ticket != w.Ticket {
		return r, false
	}
	out := r.copied()
	delete(out.Waiting, name)
	return out, true
}

// TakeBack takes a start out of the queue whose user does not want it any more, with what it holds
// if its pod is being made: a pod that no record holds is one that nobody wants.
func (r Record) TakeBack(name string, now time.Time) (Record, bool) {
	w, ok := r.Waiting[name]
	if !ok {
		return r, false
	}
	r, _ = r.Leave(name, "")
	r, _ = r.Release(name, w.Nonce, now)
	return r, true
}

// Made takes a start out of the queue whose pod, known by its nonce, was made.
func (r Record) Made(name, nonce string) (Record, bool) {
	if w, ok := r.Waiting[name]; !ok || nonce == "" || w.Nonce != nonce {
		return r, false
	}
	return r.Leave(name, "")
}

// Refuse writes down why a server was not made.
func (r Record) Refuse(name, ticket string, why Told) (Record, bool) {
	w, ok := r.Waiting[name]
	if !ok || w.Ticket != ticket || w.Refused != nil {
		return r, false
	}
	out := r.copied()
	w.Refused = &why
	out.Waiting[name] = w
	return out, true
}
