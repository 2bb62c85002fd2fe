package kube

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// Users returns the names of those who have something here, as the caches know them, sorted.
func (c *Cluster) Users() []string {
	names := map[string]bool{}
	for _, name := range c.pods.GetIndexer().ListIndexFuncValues(byUser) {
		names[name] = true
	}
	for _, informer := range c.published {
		for _, name := range informer.GetIndexer().ListIndexFuncValues(byUser) {
			names[name] = true
		}
	}
	for _, o := range c.records.GetStore().List() {
		m := o.(*corev1.ConfigMap)
		if s, ok := c.subject(m); ok && !s.Shared && !c.record(s).IsEmpty() {
			names[s.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// subject returns whose record an object is. One that was read before is not read again.
func (c *Cluster) subject(m *corev1.ConfigMap) (spawn.Subject, bool) {
	if known, ok := c.readRecords.Load(m.Name); ok && m.ResourceVersion != "" && known.(readRecord).version == m.ResourceVersion {
		return known.(readRecord).subject, true
	}
	return spawn.RecordSubject(m.Name, []byte(m.Data[recordKey]))
}
