package hub

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/roster"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/redirect"
)

func adminUserURL(user string) string { return pathOf(contract.PathAdminUsers, server.ID{User: user}) }

// administrator lets administrators pass. A person's own page is no exception: it is about
// administering.
func administrator(next caller.Handler) caller.Handler {
	return func(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
		if err := may(who, access.ListUsers, access.Target{}); err != nil {
			return err
		}
		return next(w, r, who)
	}
}

// admin lists all who have something here. 10,000 people are looked through in each request:
// what they have is in memory, and only those on the page are shown.
func (h *Hub) admin(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	all := h.everybody()
	found := roster.ParseQuery(r.URL.Query())
	some := found.Select(all)
	shown, first, q := found.Cut(some)
	count := roster.Count(all)
	page := web.Admin{
		Viewer: viewer(who), XSRF: who.XSRF(), Action: contract.PathAdmin, Back: adminURL(q), Search: q.Search, Sort: q.SortValue(),
		States: states(q), Profiles: profiles(q, roster.Profiles(all)), Columns: columns(q),
		Counts: map[string]string{
			"People": strconv.Itoa(count.People), "Running": strconv.Itoa(count.Running),
			"Starting": strconv.Itoa(count.Starting), "Failed": strconv.Itoa(count.Failed),
		},
		Range: map[string]string{
			"First": strconv.Itoa(min(first, len(some))), "Last": strconv.Itoa(first + len(shown) - 1), "Total": strconv.Itoa(len(some)),
		},
	}
	for _, p := range shown {
		page.People = append(page.People, h.person(p, adminUserURL(p.Name)))
	}
	before, after, hasBefore, hasAfter := q.Neighbours(len(some))
	if hasBefore {
		page.Previous = adminURL(before)
	}
	if hasAfter {
		page.Next = adminURL(after)
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

// everybody returns all who have something here, sorted by name.
func (h *Hub) everybody() []roster.Person {
	names := h.cluster.Users()
	all := make([]roster.Person, len(names))
	for i, name := range names {
		all[i] = h.known(name)
	}
	return all
}

// known returns a person with what the cluster has of theirs.
func (h *Hub) known(name string) roster.Person {
	return roster.Person{Name: name, Servers: h.cluster.List(name), Published: h.cluster.Published(name)}
}

func adminURL(q roster.Query) string {
	if query := q.Values().Encode(); query != "" {
		return contract.PathAdmin + "?" + query
	}
	return contract.PathAdmin
}

func states(q roster.Query) (all []web.Choice) {
	for _, s := range roster.States() {
		all = append(all, web.Choice{Value: string(s), Label: "admin.state_" + string(s), Selected: s == q.State})
	}
	return all
}

func profiles(q roster.Query, slugs []string) (all []web.Choice) {
	if q.Profile != "" && !slices.Contains(slugs, q.Profile) {
		slugs = append(slugs, q.Profile) // the form shows what the list is about
	}
	for _, slug := range slugs {
		all = append(all, web.Choice{Value: slug, Label: slug, Selected: slug == q.Profile})
	}
	return all
}

func columns(q roster.Query) (all []web.Column) {
	texts := map[roster.Order]string{roster.ByName: "admin.person", roster.ByStart: "admin.started", roster.ByActivity: "admin.activity"}
	for _, o := range roster.Orders() {
		sort := "none"
		if o == q.Sort {
			sort = map[bool]string{false: "ascending", true: "descending"}[q.Descending]
		}
		all = append(all, web.Column{Text: texts[o], URL: adminURL(q.By(o)), Sort: sort})
	}
	return all
}

// person turns a person into the page's form, with the default server first, which everybody has.
func (h *Hub) person(p roster.Person, url string) web.Person {
	own := server.ID{User: p.Name}
	servers := p.Servers
	if len(servers) == 0 || servers[0].ID != own {
		servers = append([]spawn.Server{{ID: own, Status: spawn.Status{Phase: spawn.Stopped}}}, servers...)
	}
	out := web.Person{Name: p.Name, URL: url}
	for _, s := range servers {
		line := h.serverLine(s, nil)
		line.Profile, line.Used = cmp.Or(s.Profile, s.Options.Profile), s.LastActivity
		out.Servers = append(out.Servers, line)
	}
	out.Servers = h.withPublished(out.Servers, p.Published)
	return out
}

// auditOther writes an audit line when somebody acts on a server of another user.
func (h *Hub) auditOther(ctx context.Context, event telemetry.Event, msg string, id server.ID) {
	if by := trail.Who(ctx); by != id.User {
		telemetry.Audit(ctx, h.log, event, msg, "user", telemetry.UserText(id.User), "server", telemetry.UserText(id.Name), "by", telemetry.UserText(by))
	}
}

// adminUser shows one person to administrators.
func (h *Hub) adminUser(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	user := r.PathValue("user")
	if err := server.ValidUser(user); err != nil {
		return badRequest{http.StatusBadRequest, err.Error()}
	}
	owner, err := starter(server.ID{User: user}, who)
	account := err == nil
	if !account {
		owner = access.User{Name: user}
	}
	page := web.AdminUser{
		Account: account, Trail: web.TrailLines(h.cluster.Trail(user)), SessionsURL: pathOf(contract.PathSessions, server.ID{User: user}),
		Viewer: viewer(who), XSRF: who.XSRF(), Back: adminUserURL(user), Person: h.person(h.known(user), ""),
		Groups: owner.Groups, Usage: usage(h.cluster.Usage(owner)),
	}
	if user != who.Name {
		page.DeleteURL = deleteUserURL(user)
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

// fieldBack is the form field with the administrators' page that a form is on.
const fieldBack = "back"

// back returns where a form leads: to the administrators' page that it was on, else to another
// place. No form of ours leads elsewhere (U1).
func back(r *http.Request, other string) string {
	to, ok := redirect.Safe(r.PostFormValue(fieldBack))
	path, _, _ := strings.Cut(to, "?")
	if !ok || path != contract.PathAdmin && !strings.HasPrefix(path, contract.PathAdmin+"/") {
		return other
	}
	if _, err := url.ParseRequestURI(to); err != nil {
		return other
	}
	return to
}
