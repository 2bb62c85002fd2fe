package contract

// HeaderSubject is whom a page or REST path is about, on an administrator's request about
// somebody else: the person's name and then the names of the person's groups, as the directory
// or provider reported them last, each percent-encoded, joined by spaces (EncodeHeaders). It is
// absent when that name has no account, or one that the directory refuses. Set by authz, as
// HeaderGroups is.
const HeaderSubject = "x-perijove-subject"

// PathsAboutUsers are the paths, as patterns of net/http.ServeMux, whose {user} a request is
// about, where the answer depends on that person's groups.
func PathsAboutUsers() []string {
	paths := []string{
		PathAdminUsers + "/{user}",
		PathSpawn + "/{user}", PathSpawn + "/{user}/{server}",
		PathSpawnPending + "/{user}", PathSpawnPending + "/{user}/{server}",
		PathHub + "restart/{user}", PathHub + "restart/{user}/{server}",
		PathHub + "user/{user}/{path...}",
	}
	return append(paths, pathUser, pathServer, pathNamed)
}
