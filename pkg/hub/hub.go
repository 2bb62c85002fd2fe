package hub

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/origin"
)

const (
	// maxBody bounds forms and JSON bodies; ours have a few hundred bytes.
	maxBody = 64 << 10
	// stopWait is how long a stop request waits to say that the server is gone.
	stopWait = 10 * time.Second
	// startWait bounds the calls that a start makes; the gateway waits for a minute.
	startWait = 45 * time.Second
	// seenWait is how long a page waits to see a server that another replica has started.
	seenWait = time.Second
	// routePatience is how long the gateway may take to lead to a server that answers, before
	// a page says that the gateway is what is missing.
	routePatience = 10 * time.Second
	// maxLogged bounds the refusals that are remembered as logged.
	maxLogged = 1000
	// maxStreams bounds the event streams that one user may have open on one replica.
	maxStreams = 20
	// routeWait is how long a page waits to learn that a running server is reachable.
	routeWait = 2 * time.Second
)

// Served waits until users can reach the pod of a server (see routestatus.Client). It returns a
// *spawn.Problem at once when the gateway refuses the server's route.
type Served func(ctx context.Context, id server.ID, podUID string) error

// Settings is how the pages are reached.
type Settings struct {
	// Site says on which host a user's servers are; the zero Site where all servers share the
	// host of these pages.
	Site origin.Site
	// Space says how full homes are; nil where that is not known.
	Space Space
	// Consumption says what servers take; nil where that is not known.
	Consumption Consumption
	// Board has what administrators say to everybody; nil where nothing is said.
	Board Board
	// Assets returns the addresses of the files that a first page loads from those of a digest; nil
	// where nothing is fetched ahead.
	Assets func(digest string) []string
	// Done ends event streams when the service stops; browsers connect to another replica.
	Done <-chan struct{}
}

// Hub answers the requests. Make it with New.
type Hub struct {
	Settings
	cluster Cluster
	served  Served
	web     *web.Renderer
	log     *slog.Logger

	mu      sync.Mutex
	streams map[string]int    // open event streams by user
	logged  map[string]string // by pod UID: the refusal of its route that the log has
	// patience is routePatience, and the others are what they are called; tests shorten them.
	patience, writeWait, liveFor, livePause time.Duration
}

// New returns a Hub.
func New(cluster Cluster, served Served, pages *web.Renderer, log *slog.Logger, s Settings) *Hub {
	if s.Board == nil {
		s.Board = silence{}
	}
	pages.Announce(announcements(s.Board))
	return &Hub{
		Settings: s, cluster: cluster, served: served, web: pages, log: log,
		streams: map[string]int{}, logged: map[string]string{}, patience: routePatience, writeWait: writeWait, liveFor: liveFor, livePause: livePause,
	}
}

// Handler returns all pages and the REST paths.
func (h *Hub) Handler() *http.ServeMux {
	mux := http.NewServeMux()
	caller.Door{MaxBody: maxBody, Fail: h.fail}.Register(mux, h.pages(), contract.UpstreamHub, h.operations())
	return mux
}

func (h *Hub) pages() map[string]caller.Handler {
	return map[string]caller.Handler{
		"GET /hub":                               h.root,
		"GET /hub/{$}":                           h.root,
		"GET /hub/home":                          h.home,
		"GET " + pathLive:                        h.live,
		"GET /hub/admin":                         administrator(h.admin),
		"GET /hub/admin/users/{user}":            administrator(h.adminUser),
		"GET /hub/admin/quotas":                  administrator(h.adminQuotas),
		"GET /hub/admin/messages":                administrator(h.adminMessages),
		"GET /hub/admin/cluster":                 administrator(h.adminCluster),
		"POST /hub/admin/messages":               administrator(h.postMessage),
		"POST /hub/admin/messages/remove":        administrator(h.removeMessage),
		"GET /hub/new-server":                    h.newServer,
		"GET /hub/spawn":                         h.spawnForm,
		"GET /hub/spawn/{user}":                  h.spawnForm,
		"GET /hub/spawn/{user}/{server}":         h.spawnForm,
		"POST /hub/spawn":                        h.spawnPost,
		"POST /hub/spawn/{user}":                 h.spawnPost,
		"POST /hub/spawn/{user}/{server}":        h.spawnPost,
		"GET /hub/spawn-pending/{user}":          h.pending,
		"GET /hub/spawn-pending/{user}/{server}": h.pending,
		"POST /hub/stop/{user}":                  h.stopPost,
		"POST /hub/stop/{user}/{server}":         h.stopPost,
		"GET /hub/log/{user}":                    h.logPage,
		"GET /hub/log/{user}/{server}":           h.logPage,
		"POST /hub/restart/{user}":               h.restartPost,
		"POST /hub/restart/{user}/{server}":      h.restartPost,
		"POST /hub/keep/{user}":                  h.keepPost,
		"POST /hub/keep/{user}/{server}":         h.keepPost,
		"POST /hub/delete/{user}/{server}":       h.deleteServer,
		"GET /hub/delete-user/{user}":            h.deleteUserForm,
		"POST /hub/delete-user/{user}":           h.deleteUserPost,
		"GET /hub/user-redirect/{path...}":       h.userRedirect,
		"/hub/user/{path...}":                    h.notRouted,

		"/": absentPage,
	}
}

// absentPage answers for an address where nothing is.
func absentPage(http.ResponseWriter, *http.Request, caller.Caller) error { return errNotFound }

// operations are the REST paths that contract.Endpoints gives to this service.
func (h *Hub) operations() map[string]caller.Handler {
	all := h.absent()
	maps.Copy(all, map[string]caller.Handler{
		contract.OpVersion:    h.apiVersion,
		contract.OpOpenAPI:    h.apiOpenAPI,
		contract.OpInfo:       h.apiInfo,
		contract.OpSelf:       h.apiSelf,
		contract.OpUsers:      h.apiUsers,
		contract.OpUser:       h.apiUser,
		contract.OpDeleteUser: h.apiDeleteUser,
		contract.OpActivity:   h.apiActivity,
		contract.OpServer:     h.apiServer,
		contract.OpServices:   h.apiServices,
		contract.OpProxy:      h.apiProxy,
		contract.OpCheckProxy: h.apiCheckProxy,
		contract.OpStart:      h.apiStart,
		contract.OpStop:       h.apiStop,
		contract.OpProgress:   h.apiProgress,
	})
	return all
}

// start starts a server. A browser that goes away does not interrupt it: half of a start
// would be left for the next one to finish.
func (h *Hub) start(ctx context.Context, r spawn.Request) error {
	if err := h.startable(r.ID); err != nil {
		return err
	}
	h.auditOther(ctx, telemetry.ServerStarted, "server started for its user", r.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
	defer cancel()
	return h.cluster.Start(ctx, r)
}

// stop ends a server.
func (h *Hub) stop(ctx context.Context, id server.ID) (gone bool, err error) {
	h.auditOther(ctx, telemetry.ServerStopped, "server stopped for its user", id)
	return h.cluster.Stop(ctx, id, stopWait)
}

// remove drops a server's name and ends the server. The name goes first: should the stop take
// longer than a request, nothing is left to be done after it.
func (h *Hub) remove(ctx context.Context, id server.ID) (gone bool, err error) {
	h.auditOther(ctx, telemetry.ServerDeleted, "server deleted for its user", id)
	if err := h.cluster.Forget(ctx, id); err != nil {
		return false, err
	}
	return h.cluster.Stop(ctx, id, stopWait)
}

// route returns nil when users can open a server that answers, a *spawn.Problem when the gateway
// refuses its route, and another error when the route has not come within ctx.
func (h *Hub) route(ctx context.Context, s spawn.Server) error {
	err := h.served(ctx, s.ID, s.UID)
	if _, ok := asProblem(err); ok && h.isNew(s.UID, err.Error()) {
		h.log.ErrorContext(ctx, "the gateway refuses the route of a server", "user", s.ID.User, "server", s.ID.Name, "error", err)
	}
	return err
}

// isNew reports whether a refusal was not logged yet. Pages and streams ask again and again.
func (h *Hub) isNew(uid, refusal string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.logged[uid] == refusal {
		return false
	}
	if len(h.logged) >= maxLogged {
		clear(h.logged)
	}
	h.logged[uid] = refusal
	return true
}

// reach is route with the patience of a page, for a server in any phase.
func (h *Hub) reach(ctx context.Context, s spawn.Server) error {
	if s.Phase != spawn.Answering {
		return errNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, routeWait)
	defer cancel()
	return h.route(ctx, s)
}
