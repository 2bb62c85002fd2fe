package hub

import (
	"context"
	"time"

	"github.com/perijove/perijove/pkg/hub/occupancy"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Cluster is where servers run. Errors that users can do something about are
// *spawn.Problem. test/clustertest holds what each implementation must do.
type Cluster interface {
	// List returns a user's servers that have a pod, a name that is kept or a start that waits,
	// sorted by name.
	List(user string) []spawn.Server
	// Users returns the names of those who have something here, sorted: a server, a volume, a
	// name that is kept, or time that is counted.
	Users() []string
	// Published returns the servers of a user that the platform did not start and that users reach,
	// sorted by name.
	Published(user string) []server.Server
	// Routed returns all servers to which the gateway leads, whoever started them, sorted by ID.
	Routed() []server.Server
	// Get returns one server; one without a pod is Stopped, with the options that are kept.
	Get(ctx context.Context, id server.ID) (spawn.Server, error)
	// Start returns nil once the server exists, starting or running, or waits for its turn to
	// start. A server that failed or ended is replaced; its home and, where the request has none,
	// its options are kept.
	Start(ctx context.Context, r spawn.Request) error
	// Restart ends the server's pod, known by its UID, and starts the server again as it was. It
	// returns as soon as that is written down: whatever becomes of the request, or of the replica
	// that it came to, the server starts. With another pod's UID, or none, it is Start. What keeps
	// the server from being started is a *spawn.Problem, and the pod goes on.
	Restart(ctx context.Context, r spawn.Request, uid string) error
	// Stop ends a server, or the wait of its start, and waits up to wait for it to be gone. A server without a pod is
	// gone.
	Stop(ctx context.Context, id server.ID, wait time.Duration) (gone bool, err error)
	// Watch returns a channel that receives something after each change of a server, and a
	// function that ends it.
	Watch(id server.ID) (changed <-chan struct{}, stop func())
	// WatchUser is Watch for all servers of a user, those that are yet to be made too.
	WatchUser(user string) (changed <-chan struct{}, stop func())
	// Report notes that a server was in use at a moment, at most now. It returns false for one without
	// a pod. Other replicas know it some minutes later.
	Report(id server.ID, at time.Time) bool
	// Log returns the last lines of what a server wrote, without secrets; none for one without a pod.
	// It is asked for often: a page that is reloaded costs no call of the API each time.
	Log(ctx context.Context, id server.ID) (spawn.Log, error)
	// Keep notes that a user wants a server to go on: it is in use at this moment, and every replica
	// knows when Keep returns. ok is false for a server without a pod.
	Keep(ctx context.Context, id server.ID) (ok bool, err error)
	// Profiles returns what a user may choose from, the default first.
	Profiles(user access.User) spawn.Catalog
	// Usage returns what a user has of all that quotas limit.
	Usage(user access.User) []spawn.Usage
	// History returns how many servers ran over the last day.
	History(ctx context.Context) (occupancy.History, error)
	// Nodes returns what servers are promised of each node.
	Nodes(ctx context.Context) ([]occupancy.Node, error)
	// RuleUses returns how much of each quota is used, and by whom most.
	RuleUses() []spawn.RuleUse
	// Trail returns what happened to a user's servers, latest last, and who did it: the one who
	// acts in the context of a call (trail.As).
	Trail(user string) trail.Trail
	// Forget drops the name of a server, which is then listed only while it has a pod. Its home
	// stays.
	Forget(ctx context.Context, id server.ID) error
	// DeleteUser stops a user's servers and forgets what they had. Home volumes, with all files
	// in them, are deleted only where homes says so.
	DeleteUser(ctx context.Context, user string, homes bool) error
}
