package hub

import (
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// pathOf is base/<user>[/<server>], escaped.
func pathOf(base string, id server.ID) string {
	return strings.TrimSuffix(base, "/") + "/" + strings.TrimSuffix(strings.TrimPrefix(id.Prefix(), contract.PathUser), "/")
}

// withNext adds a next parameter unless it is empty.
func withNext(path, next string) string {
	if next == "" {
		return path
	}
	return path + "?" + url.Values{"next": {next}}.Encode()
}

func spawnURL(id server.ID) string   { return pathOf(contract.PathSpawn, id) }
func pendingURL(id server.ID) string { return pathOf(contract.PathSpawnPending, id) }
func stopURL(id server.ID) string    { return pathOf("/hub/stop", id) }
func restartURL(id server.ID) string { return pathOf("/hub/restart", id) }
func logURL(id server.ID) string     { return pathOf("/hub/log", id) }

func deleteURL(id server.ID) string { return pathOf("/hub/delete", id) }

func deleteUserURL(user string) string { return pathOf("/hub/delete-user", server.ID{User: user}) }

// progressURL is JupyterHub's path of a server's event stream.
func progressURL(id server.ID) string {
	base := contract.PathAPI + "/users/" + url.PathEscape(id.User)
	if id.Name == "" {
		return base + "/server/progress"
	}
	return base + "/servers/" + url.PathEscape(id.Name) + "/progress"
}

// safeNext returns next if it leads to a page of the server id on our own origin, else
// "": a link with a foreign next must lead no user away (U1-U3), nor into another user's
// server. A link of a course is the same for all its users (/hub/user-redirect/…): it leads into
// the server that is asked for.
func safeNext(next string, id server.ID) string {
	if rest, shared := strings.CutPrefix(next, contract.PathUserRedirect); shared {
		next = id.Prefix() + rest
	}
	next, ok := redirect.Safe(next)
	if !ok {
		return ""
	}
	path, _, _ := strings.Cut(next, "?")
	owner, server, err := server.ParsePath(path)
	if err != nil || owner != id.User || id.Name != "" && server != id.Name {
		return ""
	}
	return next
}

// openURL is where a server opens: next if it is one of its pages, else its root.
func (h *Hub) openURL(id server.ID, next string) string {
	if next := safeNext(next, id); next != "" {
		return h.Site.UserBaseURL(id.User) + next
	}
	return h.serverURL(id)
}

// serverURL is the address of a server: a path, or with the owner's host where each user
// has one.
func (h *Hub) serverURL(id server.ID) string { return h.Site.UserBaseURL(id.User) + id.Prefix() }
