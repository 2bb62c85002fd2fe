package traffic

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// maxServers bounds what is remembered, about 200 bytes each.
const maxServers = 100_000

// Book is when servers were last used. It is safe for concurrent use.
type Book struct {
	now func() time.Time

	mu    sync.Mutex
	since time.Time
	last  map[server.ID]time.Time
}

// New returns a Book that begins now.
func New(now func() time.Time) *Book {
	return &Book{now: now, since: now(), last: map[server.ID]time.Time{}}
}

// Used notes that a user does something at a server.
func (b *Book) Used(id server.ID) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.last[id]; !known && len(b.last) >= maxServers {
		clear(b.last) // the report says that it begins anew
		b.since = now
	}
	b.last[id] = now
}

// Report returns what is known.
func (b *Book) Report() contract.UseReport {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	r := contract.UseReport{Since: now.Sub(b.since).Seconds(), Servers: make([]contract.ServerUse, 0, len(b.last))}
	for id, at := range b.last {
		r.Servers = append(r.Servers, contract.ServerUse{User: id.User, Server: id.Name, Ago: now.Sub(at).Seconds()})
	}
	return r
}

// Handler answers GET contract.PathUse. Its port decides who may ask.
func (b *Book) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+contract.PathUse, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.Report()) // the spawner that is gone asks again
	})
	return mux
}
