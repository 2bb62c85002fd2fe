package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Single is an image that holds one static program and nothing else: no shell, no libraries.
type Single struct {
	Ref     string   // repository:tag
	Also    []string // further names of the image
	Program string   // file on this machine; it lands in the image's root under the same name and is the entry point
	Names   []string // what the program is called in /usr/local/bin, if its name decides what it does; the first is the entry point
	User    string   // uid:gid
}

// Write packs the image as a docker archive. Equal inputs give equal bytes: no time stamps.
func (s Single) Write(archive string) error {
	image, err := s.image()
	if err != nil {
		return fmt.Errorf("image %s: %w", s.Ref, err)
	}
	names := map[name.Reference]v1.Image{}
	for _, text := range append([]string{s.Ref}, s.Also...) {
		ref, err := name.NewTag(text, name.WeakValidation)
		if err != nil {
			return fmt.Errorf("image %s: %w", text, err)
		}
		names[ref] = image
	}
	if err := tarball.MultiRefWriteToFile(archive, names); err != nil {
		return fmt.Errorf("image %s: %w", s.Ref, err)
	}
	return nil
}

func (s Single) image() (v1.Image, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux",
		RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(image)},
		Config: v1.Config{Entrypoint: []string{s.entry()}, User: s.User},
	})
}

// bin is where programs are that are started by their name alone.
const bin = "usr/local/bin/"

func (s Single) entry() string {
	if len(s.Names) > 0 {
		return "/" + bin + s.Names[0]
	}
	return "/" + filepath.Base(s.Program)
}

func diffIDs(image v1.Image) []v1.Hash {
	config, err := image.ConfigFile()
	if err != nil { // the image was made in memory a line before
		return nil
	}
	return config.RootFS.DiffIDs
}

// files is the layer: the program, in a root folder that every user may enter.
func (s Single) files() ([]byte, error) {
	content, err := os.ReadFile(s.Program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	header := &tar.Header{Name: filepath.Base(s.Program), Mode: 0o755, Size: int64(len(content)), Format: tar.FormatUSTAR}
	if err := writer.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	if _, err := writer.Write(content); err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	for _, name := range s.Names {
		link := &tar.Header{Name: bin + name, Linkname: "/" + header.Name, Typeflag: tar.TypeSymlink, Mode: 0o777, Format: tar.FormatUSTAR}
		if err := writer.WriteHeader(link); err != nil {
			return nil, fmt.Errorf("layer: %w", err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	return out.Bytes(), nil
}
