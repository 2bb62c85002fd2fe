package spawn

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// claim is a server that a pod claims to be.
type claim struct {
	server.Server
	ours bool
}

// claims returns the servers among labelled pods that the gateway leads to, sorted by ID: of two that
// claim one ID the older one.
func claims(pods []*corev1.Pod) []claim {
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
	return slices.CompactFunc(all, func(a, b claim) bool { return a.ID == b.ID })
}

// Routed returns the servers among pods that the gateway leads to, sorted by ID.
func Routed(pods []*corev1.Pod) []server.Server {
	var out []server.Server
	for _, c := range claims(pods) {
		out = append(out, c.Server)
	}
	return out
}

// Published returns those of the servers that the gateway leads to whose pods the spawner did not make,
// sorted by ID. pods are all of one user's labelled pods, the spawner's too.
func Published(pods []*corev1.Pod) []server.Server {
	var out []server.Server
	for _, c := range claims(pods) {
		if !c.ours {
			out = append(out, c.Server)
		}
	}
	return out
}

// Offered returns the server that a published pod is, if the pod says for how long it may be idle
// (contract.AnnotationCullIdle). Other published pods are never stopped.
func Offered(pod *corev1.Pod) (server.ID, bool) {
	s, err := podmeta.Read(pod)
	_, ours := Identify(pod)
	return s.ID, err == nil && !ours && CullAfter(pod) > 0
}
