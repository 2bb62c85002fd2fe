package quota

import (
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/perijove/perijove/pkg/server/trail"
)

// Record is all that is counted of one subject: a user, or the users of a rule together. It is a
// value: what changes a record returns a new one.
type Record struct {
	// Subject is the user's name, or the rule's.
	Subject string `json:"subject"`
	// Holds are what running and starting servers take. The key is the server's name in a
	// user's record, and <user>/<server> in a shared one.
	Holds map[string]Hold `json:"holds,omitempty"`
	// Volumes are the sizes of home volumes in bytes, by claim.
	Volumes map[string]int64 `json:"volumes,omitempty"`
	// Days are the seconds times weight of servers that have ended, by day (UTC).
	Days map[string]int64 `json:"days,omitempty"`
	// Named are the servers that a user keeps, by name.
	Named map[string]Named `json:"named,omitempty"`
	// Waiting are the starts of a user that wait for a place, by the server's name.
	Waiting map[string]Wait `json:"waiting,omitempty"`
	// Trail is what happened to a user's servers.
	Trail trail.Trail `json:"trail,omitempty"`
}

// Hold is what one server takes while it has a pod.
type Hold struct {
	// Nonce is the pod's, so that the end of a pod never ends the hold of its successor.
	Nonce string `json:"nonce"`
	// Pod is the name of the pod that was chosen from a pool; "" for one that is made for the server.
	Pod   string    `json:"pod,omitempty"`
	Since time.Time `json:"since"`
	// Until is when the server ends at the latest; zero when it may run for ever.
	Until time.Time `json:"until,omitzero"`
	Uses  Amounts   `json:"uses,omitempty"`
	// Weight is how much the server counts as a server, and an hour of it as an hour, in
	// thousandths.
	Weight int64 `json:"weight"`
}

// Named is a server that a user has given a name. It is kept while it is stopped.
type Named struct {
	// DisplayName is what the user typed; untrusted, to be escaped.
	DisplayName string `json:"display_name,omitempty"`
	// Options is what it was last started with, as JSON.
	Options json.RawMessage `json:"options,omitempty"`
	Created time.Time       `json:"created"`
}

// day is the form of the keys of Record.Days.
const day = "2006-01-02"

// Days are kept longer than any period of a rule.
const (
	daysRemembered = 40
	remembered     = daysRemembered * 24 * time.Hour
)

// Parse reads what Encode wrote. subject is whose record it must be.
func Parse(data []byte, subject string) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, err
	}
	if r.Subject != subject {
		return Record{}, errors.New("the record is another subject's")
	}
	return r, nil
}

// Encode returns the record as JSON.
func (r Record) Encode() ([]byte, error) { return json.Marshal(r) }

// IsEmpty reports whether the subject has nothing that is counted, kept or waited for. What only
// happened once is nothing.
func (r Record) IsEmpty() bool {
	return len(r.Holds)+len(r.Volumes)+len(r.Days)+len(r.Named)+len(r.Waiting) == 0
}

// Note returns the record with one more event. It is for what is written together with a change.
func (r Record) Note(e trail.Event) Record {
	r.Trail = r.Trail.With(e)
	return r
}

// copied returns a record that may be changed without changing r.
func (r Record) copied() Record {
	r.Holds, r.Volumes, r.Days, r.Named = cloned(r.Holds), cloned(r.Volumes), cloned(r.Days), cloned(r.Named)
	r.Waiting = cloned(r.Waiting)
	return r
}

func cloned[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

// close ends a hold at a moment and counts its time. r must be a copy.
func (r Record) close(key string, at time.Time) {
	h, ok := r.Holds[key]
	if !ok {
		return
	}
	delete(r.Holds, key)
	from := h.Since.UTC()
	if oldest := at.Add(-remembered).UTC(); from.Before(oldest) {
		from = oldest // what is before it would be forgotten below
	}
	for range daysRemembered + 1 {
		if !from.Before(at) {
			break
		}
		next := time.Date(from.Year(), from.Month(), from.Day()+1, 0, 0, 0, 0, time.UTC)
		if next.After(at) {
			next = at
		}
		name := from.Format(day)
		r.Days[name] = sum(r.Days[name], weighted(next.Sub(from), h.Weight))
		from = next.UTC()
	}
	for name := range r.Days {
		if d, err := time.Parse(day, name); err != nil || at.Sub(d) > remembered {
			delete(r.Days, name)
		}
	}
}

// weighted returns a duration in seconds times a weight.
func weighted(d time.Duration, weight int64) int64 {
	return int64(d/time.Second) * weight / One
}

// Release ends the hold of a server whose pod, known by its nonce, is gone. It reports whether
// that changed anything: the second of two replicas that see a pod go finds nothing to do.
func (r Record) Release(key, nonce string, now time.Time) (Record, bool) {
	if !r.Has(key, nonce) {
		return r, false
	}
	out := r.copied()
	out.close(key, now)
	return out, true
}

// Adopt makes the record hold a pod that runs, whatever the record says: the pod of an earlier
// version, or one whose record was lost. It asks for no room, since the pod is there.
func (r Record) Adopt(a Ask, since, now time.Time) (Record, bool) {
	if r.Has(a.Key, a.Nonce) {
		return r, false
	}
	out := r.copied()
	out.close(a.Key, now)
	out.put(a, since)
	return out, true
}

// put writes what is asked for. r must be a copy.
func (r Record) put(a Ask, since time.Time) {
	h := Hold{Nonce: a.Nonce, Pod: a.Pod, Since: since, Uses: a.Uses, Weight: a.Weight}
	if a.Lasts > 0 {
		h.Until = since.Add(a.Lasts)
	}
	r.Holds[a.Key] = h
	for claim, size := range a.Volumes {
		r.Volumes[claim] = max(size, r.Volumes[claim]) // volumes never shrink
	}
	if a.Named == nil {
		return
	}
	named := *a.Named
	if named.Created.IsZero() {
		named.Created = since
	}
	if had, ok := r.Named[a.Key]; ok {
		named.Created = had.Created
		if named.DisplayName == "" {
			named.DisplayName = had.DisplayName
		}
	}
	r.Named[a.Key] = named
}

// Forget drops a named server that the user deletes. Its hold stays while its pod does, and so
// does the volume.
func (r Record) Forget(name string) (Record, bool) {
	if _, ok := r.Named[name]; !ok {
		return r, false
	}
	out := r.copied()
	delete(out.Named, name)
	return out, true
}

// Correct writes down the size that a volume has: another one than was asked for, or that of a
// volume from before the record.
func (r Record) Correct(claim string, size int64) (Record, bool) {
	if have, ok := r.Volumes[claim]; ok && have == size {
		return r, false
	}
	out := r.copied()
	out.Volumes[claim] = size
	return out, true
}

// Has reports whether the record holds a pod.
func (r Record) Has(key, nonce string) bool {
	h, ok := r.Holds[key]
	return ok && h.Nonce == nonce
}

// Choose writes down from which pod of a pool a server is made; "" for none. It changes nothing when the
// record holds another pod of the server by now.
func (r Record) Choose(key, nonce, from, to string) (Record, bool) {
	if !r.Has(key, nonce) || r.Holds[key].Pod != from {
		return r, false
	}
	out := r.copied()
	h := out.Holds[key]
	h.Pod = to
	out.Holds[key] = h
	return out, true
}

// Stale returns the keys of holds that are older than age and whose server has no pod: the spawner
// was killed before it made the pod, or nobody saw the pod go.
func (r Record) Stale(exists func(key string) bool, age time.Duration, now time.Time) (stale []string) {
	for key, h := range r.Holds {
		if now.Sub(h.Since) > age && !exists(key) {
			stale = append(stale, key)
		}
	}
	return stale
}
