package accountpages

import (
	"maps"
	"net/http"
	"slices"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/paging"
)

// errGroups is why groups are not changed here.
const errGroups = notHere("groups and their members are those of the directory or the provider, and are changed there")

// apiGroupModel is JupyterHub's model of a group. There are no roles and no properties of groups here.
type apiGroupModel struct {
	Kind       string            `json:"kind"`
	Name       string            `json:"name"`
	Users      []string          `json:"users"`
	Roles      []string          `json:"roles"`
	Properties map[string]string `json:"properties"`
}

func groupModel(name string, users []string) apiGroupModel {
	return apiGroupModel{Kind: "group", Name: name, Users: slices.Sorted(slices.Values(users)), Roles: []string{}, Properties: map[string]string{}}
}

// apiGroups lists the groups of those who have logged in: the directory knows others.
func (p *Pages) apiGroups(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := may(v, access.ListGroups, v.Name); err != nil {
		return err
	}
	q, err := paging.Read(r)
	if err != nil {
		return badRequest(err.Error())
	}
	groups := p.keeper.Groups()
	names := slices.Sorted(maps.Keys(groups))
	from, to := q.Of(len(names))
	items := []apiGroupModel{}
	for _, name := range names[from:to] {
		items = append(items, groupModel(name, groups[name]))
	}
	web.JSON(w, http.StatusOK, q.Answer(items, len(names)))
	return nil
}

func (p *Pages) apiGroup(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := may(v, access.ReadGroups, v.Name); err != nil {
		return err
	}
	name := r.PathValue("group")
	users := p.keeper.Groups()[name]
	if len(users) == 0 {
		return errNotFound
	}
	web.JSON(w, http.StatusOK, groupModel(name, users))
	return nil
}

// apiChangeGroup refuses to change groups, and tells those why who may see them.
func (p *Pages) apiChangeGroup(_ http.ResponseWriter, _ *http.Request, v caller.Caller) error {
	if err := may(v, access.ReadGroups, v.Name); err != nil {
		return err
	}
	return errGroups
}
