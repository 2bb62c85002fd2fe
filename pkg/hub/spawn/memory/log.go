package memory

import (
	"context"

	"github.com/perijove/perijove/pkg/hub/podlog"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// Write lets a server write a log, as it comes from its container.
func (c *Cluster) Write(id server.ID, now, before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logs == nil {
		c.logs = map[server.ID]spawn.Log{}
	}
	c.logs[id] = spawn.Log{Now: podlog.Text([]byte(now)), Before: podlog.Text([]byte(before))}
}

// Log returns what Write was given.
func (c *Cluster) Log(_ context.Context, id server.ID) (spawn.Log, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pod, err := c.find(id); err != nil || pod == nil {
		return spawn.Log{}, err
	}
	return c.logs[id], nil
}
