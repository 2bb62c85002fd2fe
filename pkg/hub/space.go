package hub

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
)

// Space says how full a volume is, at the latest when ctx ends; false where that is not known.
type Space func(ctx context.Context, v spawn.Mounted) (spawn.Space, bool)

// Consumption says what a server takes, at the latest when ctx ends; false where that is not known.
type Consumption func(ctx context.Context, m spawn.Measured) (spawn.Consumption, bool)

// spaceWait is how long a home page waits for both. A node that is slow or gone delays no page
// longer.
const spaceWait = 300 * time.Millisecond

// lines are the servers as the home page shows them, with what they take and how full their homes
// are.
func (h *Hub) lines(ctx context.Context, servers []spawn.Server, catalog spawn.Catalog) []web.Server {
	ctx, cancel := context.WithTimeout(ctx, spaceWait)
	defer cancel()
	lines := make([]web.Server, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		lines[i] = h.serverLine(s, catalog)
		asked.Go(func() { h.measure(ctx, s, &lines[i]) })
	}
	asked.Wait()
	return lines
}

// measure adds to a line what the server's node says.
func (h *Hub) measure(ctx context.Context, s spawn.Server, line *web.Server) {
	if h.Space != nil && s.Home != nil {
		if space, ok := h.Space(ctx, *s.Home); ok {
			line.Home = &web.Space{Used: space.Used(), Words: space.Words(), Low: space.Low()}
		}
	}
	if h.Consumption != nil && s.Measured != nil {
		if takes, ok := h.Consumption(ctx, *s.Measured); ok {
			line.Meters = meters(takes, s.Bounds)
		}
	}
}

// meters are what a server takes, as far as it is known.
func meters(takes spawn.Consumption, most spawn.Bounds) (all []web.Meter) {
	add := func(label, bounded, unbounded string, used *int64, most int64, words func(int64) string) {
		if used == nil {
			return
		}
		m := web.Meter{Label: label, Text: unbounded, Words: map[string]string{"Used": words(*used)}}
		if most > 0 {
			m.Text, m.Bounded, m.Words["Most"] = bounded, true, words(most)
			m.Percent = int(min(100, math.Round(100*float64(*used)/float64(most)))) //nolint:mnd // percent
		}
		all = append(all, m)
	}
	add("home.cpu", "home.cpu_of", "home.cpu_use", takes.CPU, most.CPU, spawn.CoreWords)
	add("home.memory", "home.use_of", "home.use", takes.Memory, most.Memory, spawn.ByteWords)
	return all
}
