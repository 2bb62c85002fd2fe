package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/assets"
	"github.com/perijove/perijove/pkg/run/mtls"
)

func good() Config {
	return Config{
		Listen: ":8443", PrivateListen: ":9105", TLS: mtls.Files{Cert: "c", Key: "k", CA: "a"},
		Images: []Image{{Name: "notebook:1", Folder: "/images/0"}, {Name: "notebook:2", Folder: "/images/1"}},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"listen":           func(c *Config) { c.Listen = "here" },
		"privateListen":    func(c *Config) { c.PrivateListen = "" },
		"tls.key":          func(c *Config) { c.TLS.Key = "" },
		"images: needs":    func(c *Config) { c.Images = nil },
		"images[0].name":   func(c *Config) { c.Images[0].Name = "" },
		"images[1].name":   func(c *Config) { c.Images[1].Name = "notebook:1" },
		"images[1].folder": func(c *Config) { c.Images[1].Folder = "images/1" },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := (Config{}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("all faults at once: %v", err)
	}
}

func TestPackOnTheCommandLine(t *testing.T) {
	t.Parallel()
	source, out := t.TempDir(), filepath.Join(t.TempDir(), "assets")
	list := filepath.Join(t.TempDir(), "first")
	for path, text := range map[string]string{filepath.Join(source, "main.js"): "x", list: "main*.js\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), []string{"pack", "-first", list, "-out", out, source}, &stdout, &stderr); code != 0 {
		t.Fatalf("%d: %s", code, &stderr)
	}
	tree, err := assets.Load(out)
	if err != nil || tree.Digest() != strings.TrimSpace(stdout.String()) || len(tree.First()) != 1 {
		t.Errorf("%v, %v, said %q", tree, err, &stdout)
	}
	for _, args := range [][]string{{"pack"}, {"pack", "a", "b"}, {"pack", "-x"}} {
		if code := Main(t.Context(), args, &stdout, &stderr); code != 2 {
			t.Errorf("%v: %d", args, code)
		}
	}
	for _, args := range [][]string{{"pack", "-out", out, "/absent"}, {"pack", "-out", out, "-first", "/absent", source}} {
		if code := Main(t.Context(), args, &stdout, &stderr); code != 1 {
			t.Errorf("%v: %d", args, code)
		}
	}
}
