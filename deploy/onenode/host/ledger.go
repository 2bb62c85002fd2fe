package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Ledger is how the machine was before the first `up`.
type Ledger struct {
	Sysctls map[string]string `json:"sysctls"` // file below /proc/sys → value
	Folders []string          `json:"folders"` // of sharedFolders, those that were there
	Tables  []string          `json:"tables"`  // nftables tables that were there, as "family name"
}

// sysctls are the settings that we, the kubelet or kube-proxy change. Ours have a value; "" marks the others, which are only put back.
func sysctls() map[string]string {
	return map[string]string{
		"net/ipv4/ip_forward":                 "1",
		"net/bridge/bridge-nf-call-iptables":  "1", // or answers from a pod to a pod through a Service keep the wrong address
		"net/bridge/bridge-nf-call-ip6tables": "1", // or pods on one bridge speak IPv6 with each other, around NetworkPolicies
		"vm/overcommit_memory":                "",
		"vm/panic_on_oom":                     "",
		"kernel/panic":                        "",
		"kernel/panic_on_oops":                "",
		"kernel/keys/root_maxkeys":            "",
		"kernel/keys/root_maxbytes":           "",
	}
}

// sharedFolders are made outside the state folder by programs that cannot be told otherwise; deepest first.
func sharedFolders() []string {
	return []string{
		layout.ShimSockets, layout.ContainerdRun,
		filepath.Join(layout.CNICache, "results"), layout.CNICache,
		layout.ContainerLogs,
		layout.DevicePlugins, layout.KubeletBase,
		filepath.Join(layout.CNIConfigBase, "net.d"), layout.CNIConfigBase,
	}
}

// ReadLedger returns the ledger in path. ok is false if there is none, or none that can be read: then nothing shared may be taken for ours.
func ReadLedger(path string) (ledger Ledger, ok bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Ledger{}, false, nil
	}
	if err != nil {
		return Ledger{}, false, fmt.Errorf("ledger: %w", err)
	}
	if err := json.Unmarshal(content, &ledger); err != nil {
		return Ledger{}, false, nil
	}
	return ledger, true, nil
}

// NewFolders lists the shared folders that were not there before us, deepest first.
func (l Ledger) NewFolders() []string {
	before := map[string]bool{}
	for _, folder := range l.Folders {
		before[folder] = true
	}
	var made []string
	for _, folder := range sharedFolders() {
		if !before[folder] {
			made = append(made, folder)
		}
	}
	return made
}

// HadTable reports whether the nftables table was there before us.
func (l Ledger) HadTable(family, name string) bool {
	for _, table := range l.Tables {
		if table == family+" "+name {
			return true
		}
	}
	return false
}

// note writes the ledger, unless there is one: a second `up` must not take the first one's changes for the machine's own state.
func note(path string) error {
	if _, ok, err := ReadLedger(path); err != nil || ok {
		return err
	}
	ledger := Ledger{Sysctls: map[string]string{}}
	for name := range sysctls() {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			ledger.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	for _, folder := range sharedFolders() {
		if _, err := os.Stat(folder); err == nil {
			ledger.Folders = append(ledger.Folders, folder)
		}
	}
	tables, err := ListTables()
	if err != nil {
		return err
	}
	ledger.Tables = tables
	content, err := json.MarshalIndent(ledger, "", "  ")
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	// Renamed into place: half a ledger after a power cut would be worse than none.
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
