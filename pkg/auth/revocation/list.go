package revocation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// List says which sessions are revoked. The zero List revokes nothing. A List that was
// handed out is never changed; With, Merge, Prune and Bound return new ones.
type List struct {
	// Sessions maps a session ID to what ends with it.
	Sessions map[string]Entry `json:"sessions,omitempty"`
	// Users maps a user name to the moment before which all their sessions are over.
	Users map[string]Epoch `json:"users,omitempty"`
}

// Entry ends one session.
type Entry struct {
	User  string `json:"user,omitempty"`
	Since int64  `json:"since,omitempty"` // when the session began, Unix ms
	Until int64  `json:"until"`           // when it would have ended, Unix ms
}

// UnmarshalJSON also reads the form of the first version, a number: Until alone.
func (e *Entry) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &e.Until) == nil {
		return nil
	}
	type plain Entry
	return json.Unmarshal(data, (*plain)(e))
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
		out.Sessions = map[string]Entry{}
	}
	if out.Users == nil {
		out.Users = map[string]Epoch{}
	}
	for id, e := range other.Sessions {
		if was, ok := out.Sessions[id]; !ok || e.Until > was.Until {
			out.Sessions[id] = e
		}
	}
	for user, e := range other.Users {
		out.Users[user] = e.merge(out.Users[user])
	}
	return out
}

func (e Epoch) merge(other Epoch) Epoch {
	return Epoch{Before: max(e.Before, other.Before), Until: max(e.Until, other.Until)}
}

// skew is how far the clocks of two replicas may differ: one must not forget what
// another, whose clock is behind, would still let in.
const skew = 10 * time.Minute

// Prune returns l without what has ended by itself at now.
func (l List) Prune(now time.Time) List {
	out := List{Sessions: map[string]Entry{}, Users: map[string]Epoch{}}
	ended := now.Add(-skew).UnixMilli()
	for id, e := range l.Sessions {
		if e.Until > ended {
			out.Sessions[id] = e
		}
	}
	for user, e := range l.Users {
		if e.Until > ended {
			out.Users[user] = e
		}
	}
	return out
}

// Bound returns l with at most keep single sessions of each user. When a user has more, those
// that began first become that user's epoch: it also ends their other sessions from before.
// So a user who logs in and out without end costs themselves old sessions, and takes no room
// from others. Sessions of no user stay.
func (l List) Bound(keep int) List {
	byUser := map[string][]string{}
	for id, e := range l.Sessions {
		if e.User != "" {
			byUser[e.User] = append(byUser[e.User], id)
		}
	}
	out := List{Sessions: maps.Clone(l.Sessions), Users: maps.Clone(l.Users)}
	if out.Users == nil {
		out.Users = map[string]Epoch{}
	}
	for user, ids := range byUser {
		if len(ids) <= keep {
			continue
		}
		slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(l.Sessions[b].Since, l.Sessions[a].Since) })
		for _, id := range ids[keep:] {
			e := l.Sessions[id]
			out.Users[user] = out.Users[user].merge(Epoch{Before: e.Since, Until: e.Until})
			delete(out.Sessions, id)
		}
	}
	return out
}

// Covers reports whether l revokes everything that other revokes, for at least as long.
func (l List) Covers(other List) bool {
	for id, e := range other.Sessions {
		epoch := l.Users[e.User]
		if l.Sessions[id].Until < e.Until && (e.User == "" || epoch.Before < e.Since || epoch.Until < e.Until) {
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
