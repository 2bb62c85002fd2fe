package spawn

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// MaxWaiting is how many starts may wait, over all users.
	MaxWaiting = 1000
	// Lease is how long a replica may take to make a server that waited, before another one does it:
	// so long its user waits when the replica is killed.
	Lease = 30 * time.Second
	// PlaceFor is how long a start keeps its place. Servers that cannot start, because of their image, a
	// full cluster or a program that does not answer, would else keep others waiting until they fail.
	// It is longer than most starts take: the places bound how many begin at one time.
	PlaceFor = 10 * time.Second
	// maxTries is how often a start that waited is tried when the cluster does not say why it fails.
	maxTries = 3
)

// Queued is a start that waits for a free place.
type Queued struct {
	ID server.ID
	quota.Wait
}

// ErrQueueFull is why a start may not even wait.
var ErrQueueFull = errors.New("too many starts wait")

// QueueOf returns the starts of a user that wait, in any order.
func QueueOf(user string, r quota.Record) (all []Queued) {
	for name, w := range r.Waiting {
		if w.Refused == nil {
			all = append(all, Queued{ID: server.ID{User: user, Name: name}, Wait: w})
		}
	}
	return all
}

// InOrder returns the starts whose turn comes first, and apart from them those that a replica is
// at. Users come one after the other by the time when they asked; a user's second start comes
// after everybody's first, so that nobody's many starts hold others up.
func InOrder(all []Queued, now time.Time) (waiting, claimed []Queued) {
	older := func(a, b Queued) int {
		return cmp.Or(a.Turn.Compare(b.Turn), a.Asked.Compare(b.Asked), a.ID.Compare(b.ID))
	}
	for _, q := range all {
		if q.Claimable(Lease, now) {
			waiting = append(waiting, q)
		} else {
			claimed = append(claimed, q)
		}
	}
	slices.SortFunc(waiting, older)
	rank, had := map[server.ID]int{}, map[string]int{}
	for _, q := range waiting {
		rank[q.ID] = had[q.ID.User]
		had[q.ID.User]++
	}
	slices.SortStableFunc(waiting, func(a, b Queued) int { return cmp.Compare(rank[a.ID], rank[b.ID]) })
	return waiting, claimed
}

// Request returns what was asked for.
func (q Queued) Request() Request {
	options, _ := ParseOptions(q.Options) // Queue wrote it
	return Request{ID: q.ID, Owner: access.User{Name: q.ID.User, Groups: q.Groups}, Options: options, DisplayName: q.DisplayName, Cold: q.Cold}
}

// Exhausted reports whether the start has been tried often enough.
func (q Queued) Exhausted() bool { return q.Tries+1 >= maxTries }

// Queue returns the record with the start of a server that waits. It returns a *Problem when the
// user has too many that wait, or when a quota of the user's own has no room for it as it is.
func Queue(r quota.Record, owner access.User, s Spec, own Need, ticket, by string, now time.Time) (quota.Record, error) {
	if r.Queued() >= MaxServers {
		return r, &Problem{Message: MsgBusy, Err: ErrQueueFull}
	}
	if _, err := own.Take(r, now); err != nil {
		if _, small := Ungrown([]Need{own}, err); !small { // the start does without the larger home
			return r, err
		}
	}
	options, err := json.Marshal(s.Options)
	if err != nil {
		return r, err
	}
	return r.Enqueue(s.ID.Name, quota.Wait{
		Ticket: ticket, Asked: now, Turn: now, Groups: owner.Groups, Options: options, DisplayName: s.DisplayName, By: by, After: s.After, Cold: s.Cold,
	}), nil
}

// ToldOf is what is kept of a problem for its user.
func ToldOf(p *Problem, now time.Time) quota.Told {
	return quota.Told{Message: string(p.Message), Next: string(p.Next), Data: p.Data, Detail: brief(p.Detail), At: now}
}

// remembersWait returns the server whose start waits, or was refused at its turn.
func remembersWait(id server.ID, w quota.Wait) Server {
	s := Server{ID: id, DisplayName: w.DisplayName, Created: w.Asked, Waiting: w.Refused == nil}
	s.Options, _ = ParseOptions(w.Options)
	if why := w.Refused; why != nil {
		s.Status = Status{Phase: Failed, Steps: []Step{{
			Message: Message(why.Message), Next: Message(why.Next), Data: why.Data, Detail: why.Detail, Failed: true,
		}}}
		return s
	}
	s.Status = Status{Phase: Pending, Steps: []Step{{Message: MsgQueueNext}}}
	return s
}

// Behind returns a server that waits with the number of starts before it.
func (s Server) Behind(before int) Server {
	if s.Waiting && before > 0 {
		s.Steps = []Step{{Message: MsgQueued, Data: map[string]string{"Before": strconv.Itoa(before)}}}
	}
	return s
}
