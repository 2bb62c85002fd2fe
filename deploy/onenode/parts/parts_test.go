package parts_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/pki"
)

var update = flag.CommandLine.Bool("update", false, "rewrite the golden files")

func settings() parts.Settings {
	return parts.Settings{
		Layout: layout.Layout{State: "/state", Cache: "/cache"}, Nodes: 2, Program: "/bin/onenode", Key: "k1", ResolvConf: "/etc/resolv.conf", Forward: true,
	}
}

func files(t *testing.T, s parts.Settings) map[string][]byte {
	t.Helper()
	files, err := parts.Files(s)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestGolden shows every argument and file of one node, and what a second one adds. `go test ./parts -update` rewrites it; review the difference.
func TestGolden(t *testing.T) {
	one := settings()
	one.Nodes = 1
	single := archive(t, one)
	compare(t, "node.txtar", "What one node runs and with which configuration, for the state folder /state.", single)
	var more []txtar.File
	for _, file := range archive(t, settings()) {
		i := slices.IndexFunc(single, func(other txtar.File) bool { return other.Name == file.Name })
		switch {
		case i < 0:
			more = append(more, file)
		case file.Name == "parts":
			added, ok := bytes.CutPrefix(file.Data, single[i].Data)
			if !ok {
				t.Error("a second node changes the parts of the first")
			}
			more = append(more, txtar.File{Name: file.Name, Data: added})
		case !bytes.Equal(file.Data, single[i].Data):
			t.Errorf("a second node changes %s", file.Name)
		}
	}
	compare(t, "second.txtar", "What a second node adds.", more)
}

// archive lists the parts and the files.
func archive(t *testing.T, s parts.Settings) []txtar.File {
	t.Helper()
	var commands bytes.Buffer
	for _, part := range parts.All(s) {
		fmt.Fprintf(&commands, "%s\n  after %v\n  ready %+v\n  %s\n    %s\n", part.Name, part.After, part.Probe, part.Path, strings.Join(part.Args, "\n    "))
	}
	all := []txtar.File{{Name: "parts", Data: commands.Bytes()}}
	made := files(t, s)
	for _, name := range slices.Sorted(maps.Keys(made)) {
		all = append(all, txtar.File{Name: name, Data: made[name]})
	}
	return all
}

func compare(t *testing.T, name, comment string, files []txtar.File) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	got := txtar.Format(&txtar.Archive{Comment: []byte(comment + "\n"), Files: files})
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the node differs from %s; look at the difference after `go test ./parts -update`", golden)
	}
}

// Each path below the folder of certificates that an argument or file names must be one that pki makes: a typo would show only when the part dies at start.
func TestCertificatesExist(t *testing.T) {
	made, err := pki.Make(parts.Leaves(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	collect := func(text string) {
		for _, match := range regexp.MustCompile(`/state/pki/([a-z0-9-]+\.[a-z]+)`).FindAllStringSubmatch(text, -1) {
			used[match[1]] = true
			if _, ok := made[match[1]]; !ok {
				t.Errorf("%s is used and not made, in %q", match[1], text)
			}
		}
	}
	for _, part := range parts.All(settings()) {
		collect(strings.Join(part.Args, "\n"))
		if cert := part.Probe.Cert; cert != "" && made[cert+".crt"] == nil {
			t.Errorf("%s is probed with the certificate %q, which is not made", part.Name, cert)
		}
	}
	for _, content := range files(t, settings()) {
		collect(string(content))
	}
	if !used["apiserver.crt"] || !used["kubelet.key"] || !used["kubelet-2.key"] {
		t.Errorf("the search found too little to prove anything: %v", used)
	}
}

func TestNothingIsInsecure(t *testing.T) {
	texts := map[string]string{}
	for _, part := range parts.All(settings()) {
		texts[part.Name] = strings.Join(part.Args, "\n")
	}
	for name, content := range files(t, settings()) {
		texts[name] = string(content)
	}
	for name, text := range texts {
		for _, bad := range []string{"insecure", "skip-verify", "0.0.0.0:", "AlwaysAllow", "--bind-address=0.0.0.0"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
	if !strings.Contains(texts["kube-apiserver"], "--anonymous-auth=false") || !strings.Contains(texts["kubelet.yaml"], "anonymous: {enabled: false}") {
		t.Error("anonymous requests are not switched off")
	}
}

func TestOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, part := range parts.All(settings()) {
		for _, name := range part.After {
			if !seen[name] {
				t.Errorf("%s waits for %s, which does not come before it", part.Name, name)
			}
		}
		seen[part.Name] = true
		if part.Probe.URL == "" && len(part.Probe.Command) == 0 {
			t.Errorf("%s has no probe: it would count as ready when it is not", part.Name)
		}
	}
}

// A CoreDNS that forwards to a name server on its own loopback asks itself, and its loop check ends it again and again.
func TestNoForwardWithoutNameServers(t *testing.T) {
	without := settings()
	without.Forward = false
	if manifests := string(files(t, without)["manifests.yaml"]); strings.Contains(manifests, "forward .") || strings.Contains(manifests, "  loop") {
		t.Errorf("DNS forwards though no name server can be reached:\n%s", manifests)
	}
	if manifests := string(files(t, settings())["manifests.yaml"]); !strings.Contains(manifests, "\n      forward . /etc/resolv.conf\n") || !strings.Contains(manifests, "\n      loop\n") {
		t.Errorf("DNS does not forward:\n%s", manifests)
	}
}

func TestYAMLParses(t *testing.T) {
	for name, content := range files(t, settings()) {
		if strings.HasSuffix(name, ".toml") {
			continue
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			var into map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &into); err != nil || len(into) == 0 {
				t.Errorf("%s: %v\n%s", name, err, document)
			}
		}
	}
	var config struct {
		Clusters []struct{ Cluster struct{ Server string } }
		Users    []struct {
			User struct {
				Data []byte `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(parts.AdminKubeconfig([]byte("ca"), []byte("cert"), []byte("key")), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Users) != 1 || string(config.Users[0].User.Data) != "key" || config.Clusters[0].Cluster.Server != parts.APIServerURL() {
		t.Errorf("kubeconfig reads as %+v", config)
	}
}
