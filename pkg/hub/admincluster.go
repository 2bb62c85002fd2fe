package hub

import (
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/hub/occupancy"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// adminCluster shows how full the cluster is. What cannot be read is left out: the rest is as good.
func (h *Hub) adminCluster(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	page := web.AdminCluster{Viewer: viewer(who)}
	history, err := h.cluster.History(r.Context())
	if err != nil {
		h.log.WarnContext(r.Context(), "how many servers ran is not known", "error", err)
	}
	var points []web.Point
	for _, s := range history {
		points = append(points, web.Point{At: s.At, Value: s.Running})
	}
	now := time.Now()
	page.Plot = web.NewPlot(points, now.Add(-occupancy.Kept), now, 2*occupancy.Every+time.Minute)
	nodes, err := h.cluster.Nodes(r.Context())
	if err != nil {
		page.Unknown = true
		h.log.WarnContext(r.Context(), "which nodes there are is not known", "error", err)
	}
	for _, n := range nodes {
		page.Nodes = append(page.Nodes, nodeCard(n))
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

func nodeCard(n occupancy.Node) web.Node {
	state := "cluster.ready"
	switch {
	case !n.Ready:
		state = "cluster.not_ready"
	case n.Closed:
		state = "cluster.closed"
	}
	share := func(resource quota.Resource, s occupancy.Share) spawn.Usage {
		return spawn.Usage{Usage: quota.Usage{Resource: resource, Used: s.Requested, Most: s.Allocatable}}
	}
	return web.Node{Name: n.Name, State: state, Servers: n.Servers, Waiting: n.Waiting, Shares: usage([]spawn.Usage{share(quota.CPU, n.CPU), share(quota.Memory, n.Memory)})}
}
