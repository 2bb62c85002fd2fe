package pages

import (
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
)

// adminPages are those of administrators, as pages returns all.
func adminPages() map[string]web.Page {
	carol := web.Viewer{Name: "carol", DisplayName: "Carol Clark", Admin: true}
	columns := []web.Column{{Text: "admin.person", URL: "/hub/admin?sort=-name", Sort: "ascending"}, {Text: "admin.started", URL: "/hub/admin?sort=-started", Sort: "none"}, {Text: "admin.activity", URL: "/hub/admin?sort=-activity", Sort: "none"}}
	states := []web.Choice{{Value: "running", Label: "admin.state_running"}, {Value: "failed", Label: "admin.state_failed", Selected: true}}
	counts := map[string]string{"People": "10000", "Running": "1874", "Starting": "12", "Failed": "3"}
	return map[string]web.Page{
		"admin": web.Admin{
			Viewer: carol, XSRF: "x", Action: contract.PathAdmin, Back: contract.PathAdmin, States: states, Profiles: []web.Choice{{Value: "gpu", Label: "gpu"}}, Sort: "name",
			Counts: counts, Columns: columns, Range: map[string]string{"First": "51", "Last": "53", "Total": "10000"}, Previous: "/hub/admin", Next: "/hub/admin?page=3",
			People: []web.Person{
				{Name: "alice", URL: "/hub/admin/users/alice", Servers: adminServers()},
				{Name: "Übermüller-Liebermann.Maximiliane@physics.example.org", URL: "/hub/admin/users/x", Servers: servers()[:1]},
			},
		},
		"admin: nobody": web.Admin{Viewer: carol, XSRF: "x", Action: contract.PathAdmin, Search: "x", States: states, Counts: counts, Columns: columns, Range: map[string]string{"First": "0", "Last": "0", "Total": "0"}},
		"admin_user": web.AdminUser{
			Viewer: carol, XSRF: "x", Back: contract.PathAdmin, Person: web.Person{Name: "alice", Servers: adminServers()}, Account: true, Groups: []string{"physics", "staff of the institute"},
			Usage: []web.Usage{
				{Resource: "resource.servers", Data: map[string]string{"Used": "1", "Most": "2"}, Used: 1000, Most: 2000},
				{Resource: "nvidia.com/gpu", Data: map[string]string{"Used": "4", "Most": "4", "Rule": "lab"}, Used: 4, Most: 4, Shared: true},
			},
			DeleteURL: "/hub/delete-user/alice", SessionsURL: "/hub/sessions/alice", Trail: []web.TrailLine{
				{At: morning, What: "trail.culled", Of: "demo"}, {At: morning, What: "trail.started", Of: "demo", By: "carol"}, {At: morning, What: "trail.started", By: "alice"},
			},
		},
		"account": web.Account{
			Viewer: carol, XSRF: "x", Name: "alice", DisplayName: "Alice Adams", Groups: []string{"physics"}, Admin: true, PersonURL: "/hub/admin/users/alice", EndAction: "/e", EndAllAction: "/a", RevokeAction: "/r",
			Sessions: []web.SessionLine{{ID: "1", Current: true, Since: morning, LastSeen: morning, Browser: "Firefox", System: "Linux", Address: "192.0.2.1"}, {ID: "2", Since: morning, LastSeen: morning}},
			Tokens:   []web.TokenLine{{ID: "1", Note: "laptop", Scopes: []string{"access:servers!user=alice"}, Created: morning, Expires: morning.AddDate(0, 0, 7), LastUsed: morning}},
			Trail:    []web.TrailLine{{At: morning, What: "trail.session_ended", By: "carol"}, {At: morning, What: "trail.logged_in", Of: "ldap", By: "alice"}},
		},
		"account: nothing": web.Account{Viewer: carol, XSRF: "x", Name: "alice"},
		"admin_quotas": web.AdminQuotas{Viewer: carol, Quotas: []web.Quota{
			{Name: "everybody", Limits: []web.Usage{{Resource: "resource.servers", Data: map[string]string{"Most": "2"}, Most: 2000}}, Biggest: []web.QuotaUser{
				{Name: "alice", URL: "/hub/admin/users/alice", Usage: []web.Usage{{Resource: "resource.servers", Data: map[string]string{"Used": "2", "Most": "2"}, Used: 2000, Most: 2000}}},
				{Name: "bob", URL: "/hub/admin/users/bob", Usage: []web.Usage{{Resource: "resource.servers", Data: map[string]string{"Used": "1", "Most": "2"}, Used: 1000, Most: 2000}}},
			}},
			{Name: "physics", Groups: []string{"physics"}, Together: true, Usage: []web.Usage{{Resource: "nvidia.com/gpu", Data: map[string]string{"Used": "3", "Most": "4"}, Used: 3, Most: 4}}},
			{Name: "students", Groups: []string{"students", "guests"}, Unknown: true, Limits: []web.Usage{{Resource: "resource.cpu", Data: map[string]string{"Most": "4"}, Most: 4000}}},
		}},
		"admin_messages": web.AdminMessages{
			Viewer: carol, XSRF: "x", Action: "/hub/admin/messages", Error: "messages.bad_text", English: "typed", Hours: []int{1, 24, 168}, MaxText: 500,
			Messages: []web.MessageLine{{English: "The cluster is serviced on Sunday from 8:00 to 10:00. Servers are stopped then.", Chinese: "周日 8:00 至 10:00 维护，届时服务器会停止。", Warning: true, At: morning, Until: morning.AddDate(0, 0, 1), By: "carol", ID: "1", RemoveAction: "/r"}},
		},
		"admin_messages: none":   web.AdminMessages{Viewer: carol, XSRF: "x", Hours: []int{1}},
		"admin_cluster":          adminCluster(carol),
		"admin_cluster: none":    web.AdminCluster{Viewer: carol, Unknown: true},
		"admin_quotas: none":     web.AdminQuotas{Viewer: carol},
		"admin_user: no account": web.AdminUser{Viewer: carol, XSRF: "x", Person: web.Person{Name: "nobody", Servers: servers()[:1]}},
	}
}

// adminServers are those of servers with what administrators read about them.
func adminServers() []web.Server {
	all := servers()
	for i := range all {
		all[i].Profile, all[i].Used = "lab", morning
	}
	return all
}

// adminCluster is a day with a busy afternoon, and an hour of which nothing is known.
func adminCluster(carol web.Viewer) web.AdminCluster {
	var points []web.Point
	for i := range 288 {
		if i < 100 || i > 112 {
			points = append(points, web.Point{At: morning.Add(time.Duration(i) * 5 * time.Minute), Value: 12 + i%7 + 180*min(i, 288-i)/288})
		}
	}
	share := func(resource, used, most string, part int64) web.Usage {
		return web.Usage{Resource: resource, Data: map[string]string{"Used": used, "Most": most}, Used: part, Most: 100}
	}
	return web.AdminCluster{Viewer: carol, Plot: web.NewPlot(points, morning, morning.AddDate(0, 0, 1), 11*time.Minute), Nodes: []web.Node{
		{Name: "node-1.example.org", State: "cluster.ready", Servers: 41, Shares: []web.Usage{share("resource.cpu", "20.5", "32", 64), share("resource.memory", "82 GiB", "128 GiB", 64)}},
		{Name: "node-2.example.org", State: "cluster.closed", Shares: []web.Usage{share("resource.cpu", "0", "32", 0), share("resource.memory", "0 B", "128 GiB", 0)}},
	}}
}
