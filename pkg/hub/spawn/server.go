package spawn

import (
	"cmp"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Server is one server as it is now.
type Server struct {
	ID      server.ID
	UID     string    // the pod's; "" without one
	Created time.Time // the pod's, or its claim's (Began); zero without one
	Options Options   // what it was started with
	// Profile is the slug of the profile that its pod was made from; "" without a pod.
	Profile string
	// DisplayName is what the user calls it; "" for its name. Untrusted, to be escaped.
	DisplayName string
	// Kept says that a stopped server has a name that its owner has not deleted.
	Kept bool
	// Waiting says that the start waits for a free place; there is no pod yet.
	Waiting bool
	// Answered is when the server was first seen answering; zero before.
	Answered time.Time
	Used     bool // it has answered once
	// Ends is when Kubernetes ends the server because of its age; zero for never, and before a
	// node has taken it.
	Ends time.Time
	// LastActivity is when the server was last in use, as far as it or a program told: at least its
	// start. Zero without a pod.
	LastActivity time.Time
	// Busy says that a kernel worked when the server was last asked, at most some minutes ago.
	Busy bool
	// Tells says that the server told when it was last asked. One that does not is another program, has
	// not been asked yet, or is out of order; it may be in use at this moment.
	Tells bool
	// MayIdle and MayAge are for how long it may be idle and may run; 0 for ever.
	MayIdle, MayAge time.Duration
	// Home is where the home of a server that runs is mounted; nil for a home that is no volume.
	Home *Mounted
	// Measured is where the pod of a server that answers is measured; nil before a node has it.
	Measured *Measured
	Bounds   Bounds
	// Assets is the digest of the files that its pages load from the assets service; "" for none.
	Assets string
	// Notices is what happened to a server in use, latest last, or why one ended by itself.
	Notices []Notice
	Status
}

// Describe returns the server id as its pod shows it. Arguments are those of StatusOf.
func Describe(id server.ID, pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) Server {
	s := Server{ID: id, Options: OptionsOf(pod), Status: StatusOf(pod, events, now, timeout)}
	if pod != nil {
		s.DisplayName, s.Profile = pod.Annotations[contract.AnnotationDisplayName], pod.Annotations[contract.AnnotationProfile]
		s.Bounds, s.Assets = boundsOf(pod), assetsOf(pod)
		if node, ok := nodeOf(pod); ok && s.Phase == Answering {
			s.Measured = &Measured{Node: node, UID: string(pod.UID)}
		}
		s.UID, s.Created = string(pod.UID), Began(pod)
		s.MayIdle, s.MayAge = CullAfter(pod), mayAge(pod)
		if s.Phase == Pending || s.Phase == Answering { // the end of others is said already
			s.Notices, s.Ends = notices(pod, now), ends(pod)
		} else if s.Phase == Stopped {
			s.Notices = ending(pod)
		}
		if home, ok := homeVolume(pod); ok && s.Phase == Answering {
			s.Home = &home
		}
		var c corev1.PodCondition
		if c, s.Used = condition(pod); IsAnswering(pod) {
			s.Answered = c.LastTransitionTime.Time
		}
	}
	return s
}

// assetsOf returns what the pod's program was told of assets.
func assetsOf(pod *corev1.Pod) string {
	for _, container := range pod.Spec.Containers {
		for _, env := range container.Env {
			if env.Name == contract.EnvAssets {
				return env.Value
			}
		}
	}
	return ""
}

// Request asks for the start of a server.
type Request struct {
	ID server.ID
	// Owner is the user whose server it is. Its Groups decide which profiles may be chosen;
	// they are known only when the owner asks.
	Owner   access.User
	Options Options
	// DisplayName is what the user calls the server; "" keeps what it is called.
	DisplayName string
	// Cold says that no waiting pod is to become the server: one has failed it.
	Cold bool
}

// Spec returns what is to be started, without its profile. What the request leaves open is as in
// the server's pod, which may be nil, or else as its owner's record knows it.
func (r Request) Spec(pod *corev1.Pod, owner quota.Record) Spec {
	known := Remembered(r.ID, owner)
	s := Spec{ID: r.ID, Options: r.Options.OrKept(pod), DisplayName: cmp.Or(r.DisplayName, known.DisplayName), Cold: r.Cold}
	if pod == nil && r.Options.IsZero() {
		s.Options = known.Options
	}
	return s
}
