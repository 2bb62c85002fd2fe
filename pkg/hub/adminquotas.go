package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// adminQuotas shows what is used of each quota.
func (h *Hub) adminQuotas(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	page := web.AdminQuotas{Viewer: viewer(who)}
	for _, use := range h.cluster.RuleUses() {
		page.Quotas = append(page.Quotas, quotaCard(use))
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

func quotaCard(use spawn.RuleUse) web.Quota {
	card := web.Quota{Name: use.Name, Groups: use.Groups, Users: use.Rule.Users, Together: use.Together, Usage: usage(use.Usage)}
	if !use.Together {
		card.Limits = usage(use.Limits())
		card.Unknown = len(use.Groups) > 0
	}
	for _, user := range use.Users {
		card.Biggest = append(card.Biggest, web.QuotaUser{Name: user.User, URL: adminUserURL(user.User), Usage: usage(user.Usage)})
	}
	return card
}
