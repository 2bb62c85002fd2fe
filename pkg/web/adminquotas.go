package web

// AdminQuotas is the page where administrators see what is used of each quota.
type AdminQuotas struct {
	Viewer Viewer
	Quotas []Quota
}

// Quota is a rule with what is used of it.
type Quota struct {
	Name          string
	Groups, Users []string // for whom it is; both empty for everybody
	Together      bool     // all of them are counted together
	Usage         []Usage  // what all have together; none where each is counted alone
	Limits        []Usage  // what each may have, where each is counted alone
	Unknown       bool     // it is not known whom it counts
	Biggest       []QuotaUser
}

// QuotaUser is one of those who use most of a quota.
type QuotaUser struct {
	Name, URL string
	Usage     []Usage
}

func (AdminQuotas) template() string { return "admin_quotas" }
func (a AdminQuotas) viewer() Viewer { return a.Viewer }
