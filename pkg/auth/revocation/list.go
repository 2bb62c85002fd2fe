package revocation

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// List says which sessions are revoked. The zero List revokes nothing. A List that was
// handed out is never changed; With, Merge and Prune return new ones.
type List struct {
	// Sessions maps a session ID to when that session would have ended (Unix ms).
	Sessions map[string]int64 `json:"sessions,omitempty"`
	// Users maps a user name to the moment before which all their sessions are over.
	Users map[string]Epoch `json:"users,omitempty"`
}

// Epoch ends every session that began at or before Before.
type Epoch struct {
	Before int64 `json:"before"` // Unix ms
	Until  int64 `json:"until"`  // Unix ms; afterwards no such session can be alive
}

// Revoked reports whether the session id of user, which began at since, is over.
func (l List) Revoked(id, user string, since time.Time) bool {
	if _, ok := l.Sessions[id]; ok {
		return true
	}
	epoch, ok := l.Users[user]
	return ok && since.UnixMilli() <= epoch.Before
}

// Len is how many entries l has.
func (l List) Len() int { return len(l.Sessions) + len(l.Users) }

// Merge returns everything that l or other revokes, for the longer of two times.
func (l List) Merge(other List) List {
	out := List{Sessions: maps.Clone(l.Sessions), Users: maps.Clone(l.Users)}
	if out.Sessions == nil {
		out.Sessions = map[string]int64{}
	}
	if out.Users == nil {
		out.Users = map[string]Epoch{}
	}
	for id, until := range other.Sessions {
		out.Sessions[id] = max(until, out.Sessions[id])
	}
	for user, e := range other.Users {
		was := out.Users[user]
		out.Users[user] = Epoch{Before: max(e.Before, was.Before), Until: max(e.Until, was.Until)}
	}
	return out
}

// skew is how far the clocks of two replicas may differ: one must not forget what
// another, whose clock is behind, would still let in.
const skew = 10 * time.Minute

// Prune returns l without what has ended by itself at now.
func (l List) Prune(now time.Time) List {
	out := List{Sessions: map[string]int64{}, Users: map[string]Epoch{}}
	ended := now.Add(-skew).UnixMilli()
	for id, until := range l.Sessions {
		if until > ended {
			out.Sessions[id] = until
		}
	}
	for user, e := range l.Users {
		if e.Until > ended {
			out.Users[user] = e
		}
	}
	return out
}

// Covers reports whether l revokes everything that other revokes, for at least as long.
func (l List) Covers(other List) bool {
	for id, until := range other.Sessions {
		if l.Sessions[id] < until {
			return false
		}
	}
	for user, e := range other.Users {
		if have := l.Users[user]; have.Before < e.Before || have.Until < e.Until {
			return false
		}
	}
	return true
}

// Encode returns l as JSON; equal lists have equal bytes.
func (l List) Encode() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode revocation list: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote; no bytes are the empty list.
func Decode(data []byte) (List, error) {
	var l List
	if len(data) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return List{}, fmt.Errorf("decode revocation list: %w", err)
	}
	return l, nil
}
