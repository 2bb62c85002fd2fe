package input

import (
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// report is a report that comes after Envoy's usual time, or after another one.
type report struct {
	bytes uint64
	after time.Duration
	input bool
}

const every = contract.InputEvery

func TestInputIsMoreThanPongs(t *testing.T) {
	const key, pong = 19, 6
	for name, reports := range map[string][]report{
		"nothing at all":                     {{0, 0, false}, {0, every, false}, {0, every, false}},
		"pongs of a Jupyter server":          {{0, 0, false}, {pong, every, false}, {pong, every, false}, {2 * pong, 2 * every, false}},
		"pongs of an eager server":           {{0, 0, false}, {5 * (pong + 4), every, false}, {10 * (pong + 4), every, false}},
		"keys in a terminal":                 {{0, 0, false}, {4 * key, every, true}, {8 * key, every, true}},
		"the user stops typing":              {{0, 0, false}, {4 * key, every, true}, {4 * key, every, false}, {4*key + pong, every, false}},
		"one key is not told from a pong":    {{0, 0, false}, {key, every, false}},
		"exactly what is still quiet":        {{0, 0, false}, {quiet, every, false}, {2*quiet + 1, every, true}},
		"a cell is run":                      {{0, 0, false}, {800, every, true}},
		"a page that greets when it opens":   {{3000, 0, false}, {3000, every, false}},
		"a report was lost, pongs meanwhile": {{0, 0, false}, {2 * quiet, 2 * every, false}},
		"a report was lost, input meanwhile": {{0, 0, false}, {2*quiet + 1, 2 * every, true}},
		"it was given up and comes back":     {{0, 0, false}, {9000, 10 * every, false}, {9000 + quiet + 1, every, true}},
		"the report is a little late":        {{0, 0, false}, {quiet + 1, every * 14 / 10, true}},
		"two reports at once":                {{0, 0, false}, {quiet, 0, false}, {2*quiet + 1, 0, true}},
		"the clock goes back":                {{0, 0, false}, {quiet + 1, -time.Hour, true}},
		"the count goes back":                {{500, 0, false}, {100, every, false}, {100 + quiet + 1, every, true}},
	} {
		t.Run(name, func(t *testing.T) {
			m, now := NewMeter(), noon()
			for i, r := range reports {
				now = now.Add(r.after)
				if input, followed := m.Report("session", "stream", r.bytes, now); input != r.input || !followed {
					t.Errorf("report %d of %d bytes: input %v, followed %v; want input %v", i, r.bytes, input, followed, r.input)
				}
			}
		})
	}
}

// D9: a session that opens websockets without end is followed to its bound and keeps no other
// session from being followed; what ended makes room.
func TestD9_WebsocketsWithoutEnd(t *testing.T) {
	m := NewMeter()
	for i := range 10 * maxPerSession {
		if _, followed := m.Report("greedy", fmt.Sprint("greedy", i), 0, noon()); followed != (i < maxPerSession) {
			t.Fatalf("websocket %d of one session: followed %v", i, followed)
		}
	}
	if _, followed := m.Report("other", "other", 0, noon()); !followed || m.Len() != maxPerSession+1 {
		t.Errorf("another session beside it: followed %v, %d in all", followed, m.Len())
	}
	if input, followed := m.Report("greedy", "greedy0", 1000, noon()); !input || !followed {
		t.Errorf("one that is followed no longer counts: %v, %v", input, followed)
	}
	later := noon().Add(forget)
	if _, followed := m.Report("greedy", "new", 0, later); !followed || m.Len() != 1 || len(m.count) != 1 {
		t.Errorf("after the others ended: followed %v, %d in all, %d sessions", followed, m.Len(), len(m.count))
	}
}

// D9: the same for all sessions together.
func TestD9_WebsocketsOfAllSessions(t *testing.T) {
	m := NewMeter()
	for i := range maxStreams + 10 {
		if _, followed := m.Report(fmt.Sprint(i/maxPerSession), fmt.Sprint(i), 0, noon()); followed != (i < maxStreams) {
			t.Fatalf("websocket %d: followed %v", i, followed)
		}
	}
	if m.Len() != maxStreams {
		t.Errorf("%d are followed", m.Len())
	}
}
