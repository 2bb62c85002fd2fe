package hub

import (
	"context"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
)

// Space says how full a volume is, at the latest when ctx ends; false where that is not known.
type Space func(ctx context.Context, v spawn.Mounted) (spawn.Space, bool)

// spaceWait is how long a home page waits for that. A node that is slow or gone delays no page
// longer.
const spaceWait = 300 * time.Millisecond

// lines are the servers as the home page shows them, with how full their homes are.
func (h *Hub) lines(ctx context.Context, servers []spawn.Server) []web.Server {
	ctx, cancel := context.WithTimeout(ctx, spaceWait)
	defer cancel()
	lines := make([]web.Server, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		lines[i] = h.serverLine(s)
		if h.Space == nil || s.Home == nil {
			continue
		}
		asked.Go(func() {
			if space, ok := h.Space(ctx, *s.Home); ok {
				lines[i].Home = &web.Space{Used: space.Used(), Words: space.Words(), Low: space.Low()}
			}
		})
	}
	asked.Wait()
	return lines
}
