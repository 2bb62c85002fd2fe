package cleanup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/space"
)

// Look collects everything on the machine that could be the node's. Nothing is changed.
func Look(l layout.Layout, ledger host.Ledger) (Found, error) {
	var found Found
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return found, fmt.Errorf("mounts: %w", err)
	}
	found.Mounts = space.MountPoints(string(mounts))
	for _, hierarchy := range host.Hierarchies(string(mounts)) {
		folder := filepath.Join(hierarchy.Path, layout.CgroupName)
		if _, err := os.Stat(folder); err == nil {
			found.Cgroups = append(found.Cgroups, folder)
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		return found, fmt.Errorf("network interfaces: %w", err)
	}
	for _, link := range links {
		found.Links = append(found.Links, link.Attrs().Name)
	}
	if err := found.lookAtTables(); err != nil {
		return found, err
	}
	found.Cached = glob(filepath.Join(layout.CNICache, "results", "*"))
	found.LogLinks = map[string]string{}
	for _, link := range glob(filepath.Join(layout.ContainerLogs, "*")) {
		if target, err := os.Readlink(link); err == nil {
			found.LogLinks[link] = target
		}
	}
	found.Shims = shimSockets(l)
	found.Sockets = glob(filepath.Join(layout.DevicePlugins, layout.DeviceSockets+"*.sock"))
	found.Dead = deadSockets(glob(filepath.Join(layout.ShimSockets, "*")))
	found.Sysctls = map[string]string{}
	for name := range ledger.Sysctls {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			found.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	return found, nil
}

// lookAtTables lists nftables' tables and the rules of the one that portmap shares between networks. Without the nft program there can be none of ours.
func (f *Found) lookAtTables() error {
	if _, err := exec.LookPath("nft"); errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	var err error
	if f.Tables, err = host.ListTables(); err != nil {
		return err
	}
	for _, table := range f.Tables {
		family, name, _ := strings.Cut(table, " ")
		if name != layout.HostPortTable {
			continue
		}
		out, err := exec.Command("nft", "--json", "list", "table", family, name).Output()
		if err != nil {
			return fmt.Errorf("nft list table %s: %w", table, err)
		}
		rules, err := parseRules(out)
		if err != nil {
			return err
		}
		f.HostPorts = append(f.HostPorts, rules...)
	}
	return nil
}

// parseRules reads `nft --json list table` (libnftables-json(5)). Rules without a comment belong to the table's frame, not to a container.
func parseRules(out []byte) ([]Rule, error) {
	var list struct {
		Nftables []struct {
			Rule *struct {
				Family, Chain, Comment string
				Handle                 json.Number
			}
		}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("nft's list of rules: %w", err)
	}
	var rules []Rule
	for _, item := range list.Nftables {
		if item.Rule != nil && item.Rule.Comment != "" {
			rules = append(rules, Rule{Family: item.Rule.Family, Chain: item.Rule.Chain, Handle: item.Rule.Handle.String(), Comment: item.Rule.Comment})
		}
	}
	return rules, nil
}

// shimSockets finds the sockets of our containers' shims: bundle → socket. containerd notes each in the container's bundle; the socket itself lies in a folder that all containerds share.
func shimSockets(l layout.Layout) map[string]string {
	sockets := map[string]string{}
	for _, file := range bundles(l) {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var bootstrap struct{ Address string }
		if err := json.Unmarshal(content, &bootstrap); err != nil {
			continue
		}
		socket := filepath.Clean(strings.TrimPrefix(bootstrap.Address, "unix://"))
		if _, err := os.Lstat(socket); err == nil && filepath.Dir(socket) == layout.ShimSockets {
			sockets[file] = socket
		}
	}
	return sockets
}

// bundles lists the files in which the containerds of all nodes note where a container's shim listens.
func bundles(l layout.Layout) []string {
	var files []string
	for _, n := range l.Nodes(layout.MaxNodes) {
		files = append(files, glob(filepath.Join(n.ContainerdState(), "io.containerd.runtime.v2.task", "*", "*", "bootstrap.json"))...)
	}
	return files
}

// deadSockets returns those sockets that refuse: their file outlived the process that listened.
func deadSockets(files []string) []string {
	var dead []string
	for _, file := range files {
		connection, err := net.Dial("unix", file)
		if errors.Is(err, syscall.ECONNREFUSED) {
			dead = append(dead, file)
		}
		if err == nil {
			_ = connection.Close() // nothing was sent
		}
	}
	return dead
}

// glob ignores that a folder is missing or cannot be read: then nothing of ours is in it.
func glob(pattern string) []string {
	matches, err := filepath.Glob(pattern)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return matches
}
