package hub

import (
	"errors"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// visitor is who sent a request, as authz vouched for it.
type visitor struct{ caller.Caller }

var errForeign = errors.New("not the visitor's own server")

// may returns nil if the visitor may do action to target.
func (v visitor) may(action access.Action, target access.Target) error {
	if access.May(v.User, action, target, v.Grants()) {
		return nil
	}
	return errForeign
}

func (v visitor) viewer() web.Viewer { return web.Viewer{Name: v.Name, DisplayName: v.DisplayName} }
