package spawn

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Server is one server as it is now.
type Server struct {
	ID      server.ID
	UID     string    // the pod's; "" without one
	Created time.Time // the pod's; zero without one
	Options Options   // what it was started with
	// Answered is when the server was first seen answering; zero before.
	Answered time.Time
	Used     bool // it has answered once
	// Ends is when Kubernetes ends the server because of its age; zero for never, and before a
	// node has taken it.
	Ends time.Time
	// Notices is what happened to a server in use, latest last, or why one ended by itself.
	Notices []Notice
	Status
}

// Describe returns the server id as its pod shows it. Arguments are those of StatusOf.
func Describe(id server.ID, pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) Server {
	s := Server{ID: id, Options: OptionsOf(pod), Status: StatusOf(pod, events, now, timeout)}
	if pod != nil {
		s.UID, s.Created = string(pod.UID), pod.CreationTimestamp.Time
		if s.Phase == Pending || s.Phase == Answering { // the end of others is said already
			s.Notices, s.Ends = notices(pod, now), ends(pod)
		} else if s.Phase == Stopped {
			s.Notices = ending(pod)
		}
		var c corev1.PodCondition
		if c, s.Used = condition(pod); IsAnswering(pod) {
			s.Answered = c.LastTransitionTime.Time
		}
	}
	return s
}

// Request asks for the start of a server.
type Request struct {
	ID server.ID
	// Owner is the user whose server it is. Its Groups decide which profiles may be chosen;
	// they are known only when the owner asks.
	Owner   access.User
	Options Options
}

// MaxServers bounds how many servers one user may have, the default one included: each takes
// a part of what all users share.
const MaxServers = 10

// Room returns a Problem when the user who has these servers may not have one more under id.
func Room(have map[server.ID]bool, id server.ID) error {
	others := len(have)
	if have[id] {
		others--
	}
	if others < MaxServers {
		return nil
	}
	return &Problem{Message: MsgTooMany, Data: map[string]string{"Limit": strconv.Itoa(MaxServers)}}
}
