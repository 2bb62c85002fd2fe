package images

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for ref, want := range map[string]string{
		"app":                            "docker.io/library/app:latest",
		"team/app:1":                     "docker.io/team/app:1",
		"docker.io/library/app:1":        "docker.io/library/app:1",
		"perijove.dev/onenode/pause:1":   "perijove.dev/onenode/pause:1",
		"localhost:5000/app":             "localhost:5000/app:latest",
		"app@sha256:" + repeat("ab", 32): "docker.io/library/app@sha256:" + repeat("ab", 32),
		"NOT A NAME":                     "NOT A NAME",
	} {
		if got := Normalize(ref); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", ref, got, want)
		}
	}
}

func repeat(s string, n int) string { return string(bytes.Repeat([]byte(s), n)) }

// Read must find the image that Write packs, under the id that a container runtime computes.
func TestSingleRoundTrip(t *testing.T) {
	folder := t.TempDir()
	program, archive := filepath.Join(folder, "tool"), filepath.Join(folder, "tool.tar")
	write := func(content string) []Entry {
		t.Helper()
		if err := os.WriteFile(program, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (Single{Ref: "example.org/tool:1", Program: program, User: "1:1"}).Write(archive); err != nil {
			t.Fatal(err)
		}
		entries, err := Read(archive)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 || entries[0].Ref != "example.org/tool:1" {
			t.Fatalf("read %v", entries)
		}
		return entries
	}
	first, again, other := write("one"), write("one"), write("two")
	if first[0] != again[0] {
		t.Errorf("the same program gives two images: %v and %v", first, again)
	}
	if first[0].ID == other[0].ID {
		t.Errorf("two programs give one image: %v", first)
	}
}

// A program that its name decides about is found by each of its names, in one image that has several names itself.
func TestSingleOfSeveralNames(t *testing.T) {
	folder := t.TempDir()
	program, archive := filepath.Join(folder, "many"), filepath.Join(folder, "many.tar")
	if err := os.WriteFile(program, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	single := Single{Ref: "example.org/a:1", Also: []string{"example.org/b:1"}, Program: program, Names: []string{"a", "b"}, User: "1:1"}
	if err := single.Write(archive); err != nil {
		t.Fatal(err)
	}
	entries, err := Read(archive)
	if err != nil || len(entries) != 2 || entries[0].ID != entries[1].ID || entries[0].Ref == entries[1].Ref {
		t.Fatalf("read %v, %v", entries, err)
	}
	layer, err := single.files()
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{}
	for reader := tar.NewReader(bytes.NewReader(layer)); ; {
		header, err := reader.Next()
		if err != nil {
			break
		}
		links[header.Name] = header.Linkname
	}
	if links["usr/local/bin/a"] != "/many" || links["usr/local/bin/b"] != "/many" || len(links) != 3 || single.entry() != "/usr/local/bin/a" {
		t.Errorf("the image has %v and starts %s", links, single.entry())
	}
}

func writeTar(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	const emptyJSON = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of "{}"
	tests := []struct {
		name  string
		files map[string]string
		want  []Entry
		fails string // part of the error
	}{
		{
			name:  "docker",
			files: map[string]string{"./c.json": "{}", "manifest.json": `[{"Config": "c.json", "RepoTags": ["app:1", "app:2"]}]`},
			want:  []Entry{{"docker.io/library/app:1", emptyJSON}, {"docker.io/library/app:2", emptyJSON}},
		},
		{
			name: "oci",
			files: map[string]string{
				"index.json":         `{"manifests": [{"digest": "sha256:m1", "annotations": {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "example.org/app:1"}}]}`,
				"blobs/sha256/m1":    `{"config": {"digest": "sha256:c1"}}`,
				"blobs/sha256/layer": "not json",
			},
			want: []Entry{{"example.org/app:1", "sha256:c1"}},
		},
		{name: "no image", files: map[string]string{"readme": ""}, fails: "no image archive"},
		{name: "docker without a name", files: map[string]string{"c.json": "{}", "manifest.json": `[{"Config": "c.json"}]`}, fails: "has a name"},
		{name: "docker without its configuration", files: map[string]string{"manifest.json": `[{"Config": "c.json", "RepoTags": ["a:1"]}]`}, fails: "lacks"},
		{name: "oci without a name", files: map[string]string{"index.json": `{"manifests": [{"digest": "sha256:m1"}]}`, "blobs/sha256/m1": `{"config": {"digest": "sha256:c1"}}`}, fails: "no name"},
		{name: "oci list", files: map[string]string{"index.json": `{"manifests": [{"digest": "sha256:m1", "annotations": {"io.containerd.image.name": "a"}}]}`, "blobs/sha256/m1": `{"manifests": []}`}, fails: "is itself a list"},
		{name: "oci empty", files: map[string]string{"index.json": `{}`}, fails: "no image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Read(writeTar(t, test.files))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got error %v, want one with %q", err, test.fails)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v %v, want %v", got, err, test.want)
			}
		})
	}
}

// Archives are built by other tools. Reading one must end in entries or an error, for every content.
func FuzzListImages(f *testing.F) {
	f.Add([]byte(`[{"Config": "c.json", "RepoTags": ["app:1"]}]`), []byte(`{"manifests": [{"digest": "sha256:m1"}]}`), true)
	f.Add([]byte(`[{"Config": "../c.json"}]`), []byte(`{"manifests": [{"digest": ""}]}`), false)
	f.Fuzz(func(t *testing.T, manifest, index []byte, docker bool) {
		files := map[string][]byte{"c.json": []byte("{}"), "index.json": index, "blobs/sha256/m1": manifest}
		if docker {
			files["manifest.json"] = manifest
		}
		entries, err := listImages(files)
		if (err == nil) == (len(entries) == 0) {
			t.Errorf("entries %v with error %v", entries, err)
		}
	})
}

const list = `REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/library/a:1 application/x sha256:m1 1 MiB linux/amd64 -
sha256:i1 application/x sha256:m1 1 MiB linux/amd64 -
docker.io/library/b:1 application/x sha256:m3 1 MiB linux/amd64 -
sha256:i2 application/x sha256:m2 1 MiB linux/amd64 -
`

func TestAbsent(t *testing.T) {
	have := parseList(list)
	wanted := []Entry{
		{"docker.io/library/a:1", "sha256:i1"}, // there
		{"docker.io/library/a:1", "sha256:i2"}, // there under this name, but another image
		{"docker.io/library/b:1", "sha256:i3"}, // name there, id not yet: the kubelet does not see it
		{"docker.io/library/c:1", "sha256:i1"}, // another name of an image that is there
	}
	if got, want := absent(have, wanted), []string{"docker.io/library/a:1", "docker.io/library/b:1", "docker.io/library/c:1"}; !slices.Equal(got, want) {
		t.Errorf("absent %v, want %v", got, want)
	}
	if got := orphans(have); !slices.Equal(got, []string{"sha256:i2"}) {
		t.Errorf("orphans %v, want sha256:i2: no name points to m2", got)
	}
}
