package hub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

const (
	// checkWait bounds the question whether Envoy leads to all servers.
	checkWait = 10 * time.Second
	// checksAtOnce bounds how many servers are asked about at one time.
	checksAtOnce = 32
)

// apiRoute is JupyterHub's model of a route (Proxy.get_all_routes).
type apiRoute struct {
	Spec   string `json:"routespec"`
	Target string `json:"target"`
	Data   struct {
		User   string `json:"user"`
		Server string `json:"server_name"`
	} `json:"data"`
}

func (h *Hub) apiRoute(s server.Server) apiRoute {
	// With a host for each user JupyterHub's routes begin with it.
	_, host, _ := strings.Cut(h.Site.UserBaseURL(s.ID.User), "://")
	r := apiRoute{Spec: host + s.ID.Prefix(), Target: (&url.URL{Scheme: "http", Host: s.Addr.String()}).String()}
	if s.ProofName != "" {
		r.Target = (&url.URL{Scheme: "https", Host: s.Addr.String()}).String()
	}
	r.Data.User, r.Data.Server = s.ID.User, s.ID.Name
	return r
}

// apiProxy lists where requests are led, by path: the routes that the xds-server makes of the pods that
// there are.
func (h *Hub) apiProxy(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	if err := may(who, access.Routes, access.Target{}); err != nil {
		return err
	}
	q, err := readPage(r)
	if err != nil {
		return err
	}
	all, routes := h.cluster.Routed(), map[string]apiRoute{}
	from, to := q.Of(len(all))
	for _, s := range all[from:to] {
		route := h.apiRoute(s)
		routes[route.Spec] = route
	}
	web.JSON(w, http.StatusOK, routes)
	return nil
}

// apiCheckProxy answers 200 once every Envoy leads to every server that runs. JupyterHub mends its
// proxy's routes here; the xds-server does that by itself.
func (h *Hub) apiCheckProxy(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	if err := may(who, access.Routes, access.Target{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkWait)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(checksAtOnce)
	for _, s := range h.cluster.Routed() {
		group.Go(func() error { return h.stillServed(ctx, s) })
	}
	if err := group.Wait(); err != nil {
		h.log.WarnContext(ctx, "not every server is routed", "error", err)
		if _, refused := asProblem(err); refused {
			return errRefused
		}
		return errors.Join(errStuck, err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// stillServed returns nil once Envoy leads to a server, or when the server is gone meanwhile.
func (h *Hub) stillServed(ctx context.Context, s server.Server) error {
	for {
		try, cancel := context.WithTimeout(ctx, routeWait)
		err := h.served(try, s.ID, s.UID)
		cancel()
		if err == nil {
			return nil
		}
		if !slices.ContainsFunc(h.cluster.Routed(), func(o server.Server) bool { return o.UID == s.UID }) {
			return nil // it is gone
		}
		if _, refused := asProblem(err); refused || ctx.Err() != nil {
			return err
		}
	}
}
