package cleanup

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Found is what Look saw on the machine.
type Found struct {
	Mounts    []string          // mount points
	Links     []string          // names of network interfaces
	Tables    []string          // nftables tables, as "family name"
	HostPorts []Rule            // rules of CNI portmap's shared table
	Cached    []string          // files in the CNI library's cache
	LogLinks  map[string]string // link in /var/log/containers → target
	Shims     map[string]string // file of a container in the state folder → its shim's socket
	Sockets   []string          // those of our device plugin
	Dead      []string          // shim sockets without a listener, of every containerd
	Cgroups   []string          // cgroup folders called layout.CgroupName, one per hierarchy
	Sysctls   map[string]string // present values of the ledger's kernel settings
}

// Rule is one nftables rule that has a comment.
type Rule struct {
	Family, Chain, Handle, Comment string
}

// Plan is what to remove, in the order of the fields.
type Plan struct {
	Unmount     []string // deepest first
	DeleteLinks []string
	DeleteRules []Rule
	DeleteTable []string // "family name"
	RemoveTrees []string // cgroup folders with everything below
	Remove      []string // files
	RemoveEmpty []string // folders, if no other program has put anything into them
	Sysctls     map[string]string
	RemoveState string
}

// Make decides what is ours. known is false if the ledger was lost: then nothing that others may share is touched.
func Make(l layout.Layout, found Found, ledger host.Ledger, known bool) Plan {
	plan := Plan{
		Unmount:     mountsBelow(found.Mounts, l.State),
		RemoveTrees: found.Cgroups,
		RemoveState: l.State,
		Sysctls:     map[string]string{},
	}
	for _, name := range append(cables(l), layout.Bridge) {
		if slices.Contains(found.Links, name) {
			plan.DeleteLinks = append(plan.DeleteLinks, name)
		}
	}
	containers := map[string]bool{}
	for _, file := range found.Cached {
		if id, ok := containerOf(file); ok {
			containers[id] = true
			plan.Remove = append(plan.Remove, file)
		}
	}
	plan.planTables(found, ledger, known, containers)
	for link, target := range found.LogLinks {
		if within(target, l.State) {
			plan.Remove = append(plan.Remove, link)
		}
	}
	for _, socket := range found.Shims {
		plan.Remove = append(plan.Remove, socket)
	}
	plan.Remove = append(plan.Remove, found.Sockets...)
	slices.Sort(plan.Remove)
	if known {
		plan.RemoveEmpty = ledger.NewFolders()
		if slices.Contains(plan.RemoveEmpty, layout.ShimSockets) {
			plan.Remove = append(plan.Remove, found.Dead...) // of shims that were killed so long ago that containerd has forgotten them
		}
		if slices.Contains(plan.RemoveEmpty, layout.DevicePlugins) {
			plan.Remove = append(plan.Remove, filepath.Join(layout.DevicePlugins, "kubelet.sock"), filepath.Join(layout.DevicePlugins, "kubelet_internal_checkpoint"))
		}
		for name, before := range ledger.Sysctls {
			if now, ok := found.Sysctls[name]; ok && now != before {
				plan.Sysctls[name] = before
			}
		}
	}
	return plan
}

// cables lists the machine's ends of all cables that there can be.
func cables(l layout.Layout) []string {
	var names []string
	for _, n := range l.Nodes(layout.MaxNodes) {
		if !n.First() {
			names = append(names, n.Cable())
		}
	}
	return names
}

// MakeNode plans the removal of one further node while the others go on. Rules and interfaces inside its namespace go with that.
func MakeNode(n layout.Node, found Found) Plan {
	plan := Plan{Unmount: mountsBelow(found.Mounts, n.Home()), RemoveState: n.Home()}
	if slices.Contains(found.Links, n.Cable()) {
		plan.DeleteLinks = []string{n.Cable()}
	}
	for _, tree := range found.Cgroups {
		plan.RemoveTrees = append(plan.RemoveTrees, strings.TrimSuffix(tree, layout.CgroupName)+n.Cgroup())
	}
	for _, file := range found.Cached {
		if strings.HasPrefix(filepath.Base(file), n.Network()+"-") {
			plan.Remove = append(plan.Remove, file)
		}
	}
	for link, target := range found.LogLinks {
		if within(target, n.Home()) {
			plan.Remove = append(plan.Remove, link)
		}
	}
	for bundle, socket := range found.Shims {
		if within(bundle, n.Home()) {
			plan.Remove = append(plan.Remove, socket)
		}
	}
	slices.Sort(plan.Remove)
	return plan
}

// planTables: our own table always goes; kube-proxy's if it was not there before us; portmap's too once only our containers have rules in it, else only those rules.
func (p *Plan) planTables(found Found, ledger host.Ledger, known bool, containers map[string]bool) {
	foreign := false
	for _, rule := range found.HostPorts {
		if containers[rule.Comment] {
			p.DeleteRules = append(p.DeleteRules, rule)
		} else {
			foreign = true
		}
	}
	for _, table := range found.Tables {
		family, name, _ := strings.Cut(table, " ")
		switch {
		case name == layout.NFTTable, name == layout.PolicyTable,
			name == layout.ProxyTable && known && !ledger.HadTable(family, name),
			name == layout.HostPortTable && known && !ledger.HadTable(family, name) && !foreign:
			p.DeleteTable = append(p.DeleteTable, table)
		}
	}
	if slices.ContainsFunc(p.DeleteTable, func(table string) bool { return strings.HasSuffix(table, " "+layout.HostPortTable) }) {
		p.DeleteRules = nil // they go with the table
	}
}

// containerOf reads the container id out of the name of a CNI cache file, <network>-<container id>-<interface>, if the network is ours.
func containerOf(file string) (string, bool) {
	rest, ok := strings.CutPrefix(filepath.Base(file), layout.Network+"-")
	if !ok {
		return "", false
	}
	id, _, ok := strings.Cut(rest, "-")
	return id, ok
}

// mountsBelow lists mount points inside folder, deepest first; of two at one place, both.
func mountsBelow(mounts []string, folder string) []string {
	var points []string
	for _, point := range mounts {
		if within(point, folder) {
			points = append(points, point)
		}
	}
	slices.SortStableFunc(points, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return points
}

// within reports whether path is folder or lies in it; "/var/lib/perijove-onenode2" is not in "/var/lib/perijove-onenode".
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
}
