package input

import (
	"time"

	"github.com/perijove/perijove/pkg/contract"
)

const (
	// quiet is how many bytes within contract.InputEvery are no input: an answer to a ping has
	// 6 bytes and what the ping held (RFC 6455 §5.5.3), and servers ping every 5 to 60 seconds.
	// A key in a Jupyter terminal has 19.
	quiet = 64
	// maxPerSession and maxStreams bound how many websockets are followed, about 200 bytes each.
	maxPerSession = 100
	maxStreams    = 100_000
	// forget is how long a websocket may go unreported: it has ended.
	forget = 3 * contract.InputEvery
)

// Meter remembers how much each open websocket had received at its last report. It is not safe
// for concurrent use.
type Meter struct {
	streams map[string]*stream // by Envoy's ID
	count   map[string]int     // by session
	swept   time.Time
}

type stream struct {
	session string
	bytes   uint64
	at      time.Time
}

// NewMeter returns a Meter that follows no websocket yet.
func NewMeter() *Meter { return &Meter{streams: map[string]*stream{}, count: map[string]int{}} }

// Len is how many websockets are followed.
func (m *Meter) Len() int { return len(m.streams) }

// Report takes the report that a session's websocket had received so many bytes in all by now.
// input says that a user is behind what came since the report before. The first one says
// nothing: a page that opens its websockets again, after a break, greets by itself. followed is
// false for a websocket beyond the bounds, which never counts.
func (m *Meter) Report(session, id string, bytes uint64, now time.Time) (input, followed bool) {
	m.sweep(now)
	s := m.streams[id]
	if s == nil {
		if len(m.streams) >= maxStreams || m.count[session] >= maxPerSession {
			return false, false
		}
		m.streams[id] = &stream{session: session, bytes: bytes, at: now}
		m.count[session]++
		return false, true
	}
	// Reports get lost, and then the next one is about a longer time.
	periods := max(1, now.Sub(s.at).Round(contract.InputEvery)/contract.InputEvery)
	input = bytes > s.bytes && bytes-s.bytes > quiet*uint64(periods)
	s.bytes, s.at = bytes, now
	return input, true
}

// sweep forgets websockets that have ended.
func (m *Meter) sweep(now time.Time) {
	if now.Sub(m.swept) < contract.InputEvery {
		return
	}
	m.swept = now
	for id, s := range m.streams {
		if now.Sub(s.at) < forget {
			continue
		}
		delete(m.streams, id)
		if m.count[s.session]--; m.count[s.session] == 0 {
			delete(m.count, s.session)
		}
	}
}
