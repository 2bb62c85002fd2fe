package spawn

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Published returns the servers among pods that the spawner did not make and that the gateway leads
// to, sorted by ID. pods are all of one user's labelled pods, the spawner's too: of two that claim
// one ID the gateway leads to the older one only.
func Published(pods []*corev1.Pod) []server.Server {
	type claim struct {
		server.Server
		ours bool
	}
	var all []claim
	for _, pod := range pods {
		s, err := podmeta.Read(pod)
		if err != nil {
			continue // it is not ready, or has an Event from the xds-server
		}
		_, ours := Identify(pod)
		all = append(all, claim{s, ours})
	}
	slices.SortFunc(all, func(a, b claim) int { return server.ByPrecedence(a.Server, b.Server) })
	all = slices.CompactFunc(all, func(a, b claim) bool { return a.ID == b.ID })
	var out []server.Server
	for _, c := range all {
		if !c.ours {
			out = append(out, c.Server)
		}
	}
	return out
}
