package app

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/homes/plan"
)

func good() Config {
	c := Defaults("n1")
	c.Kubernetes.Namespace = "servers"
	c.Exports = []plan.Export{{Name: "a", Path: "/srv/homes"}, {Name: "b", Server: "nfs.test", Path: "/x"}}
	return c
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"NODE_NAME":            func(c *Config) { c.Node = "" },
		"kubernetes.namespace": func(c *Config) { c.Kubernetes.Namespace = "" },
		"kubeletRoot":          func(c *Config) { c.KubeletRoot = "/var/../etc" },
		"exportsFolder":        func(c *Config) { c.ExportsFolder = "exports" },
		"exports: needs":       func(c *Config) { c.Exports = nil },
		"exports[0].name":      func(c *Config) { c.Exports[0].Name = "../a" },
		"exports[1].name":      func(c *Config) { c.Exports[1].Name = "a" },
		"exports[0].path":      func(c *Config) { c.Exports[0].Path = "/" },
		"exports[1].path":      func(c *Config) { c.Exports[1].Path = "/x/" },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := (Config{}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("all faults at once: %v", err)
	}
}

// Two drivers on one node would mount one home twice.
func TestOneDriverOnANode(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	unlock, err := lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(folder); err == nil {
		t.Error("a second driver runs")
	}
	unlock()
	if unlock, err = lock(folder); err != nil {
		t.Fatal(err)
	}
	unlock()
}
