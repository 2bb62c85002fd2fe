package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// Entry is one image in an archive: its name as containerd will know it, and its id (the digest of its configuration, "sha256:…").
type Entry struct {
	Ref string
	ID  string
}

// Large enough for any manifest or configuration; a layer must not be read into memory by mistake.
const maxJSON = 4 << 20

// Read lists the images of a docker archive (`docker save`) or an OCI image layout in a tar file. Layers are skipped over, not read.
func Read(archive string) ([]Entry, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	small, err := smallFiles(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (expected an uncompressed docker or OCI archive)", archive, err)
	}
	entries, err := listImages(small)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", archive, err)
	}
	return entries, nil
}

// smallFiles returns every file of the tar that may be JSON. A tar reader on a file seeks past the others.
func smallFiles(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg || header.Size > maxJSON {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(reader, maxJSON))
		if err != nil {
			return nil, err
		}
		files[path.Clean(header.Name)] = content
	}
}

func listImages(files map[string][]byte) ([]Entry, error) {
	if manifest, ok := files["manifest.json"]; ok {
		return listDocker(files, manifest)
	}
	if index, ok := files["index.json"]; ok {
		return listOCI(files, index)
	}
	return nil, errors.New("neither manifest.json nor index.json inside: this is no image archive")
}

func listDocker(files map[string][]byte, manifest []byte) ([]Entry, error) {
	var images []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(manifest, &images); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var entries []Entry
	for _, image := range images {
		config, ok := files[path.Clean(image.Config)]
		if !ok {
			return nil, fmt.Errorf("manifest.json names %s, which the archive lacks", image.Config)
		}
		sum := sha256.Sum256(config)
		for _, tag := range image.RepoTags {
			entries = append(entries, Entry{Ref: Normalize(tag), ID: "sha256:" + hex.EncodeToString(sum[:])})
		}
	}
	if len(entries) == 0 {
		return nil, errors.New("no image in the archive has a name: save it by repository:tag")
	}
	return entries, nil
}

type descriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

func listOCI(files map[string][]byte, index []byte) ([]Entry, error) {
	var list struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(index, &list); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	var entries []Entry
	for _, manifest := range list.Manifests {
		ref := manifest.Annotations["io.containerd.image.name"]
		if ref == "" {
			ref = manifest.Annotations["org.opencontainers.image.ref.name"]
		}
		var image struct {
			Config descriptor `json:"config"`
		}
		if err := json.Unmarshal(files[blob(manifest.Digest)], &image); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", manifest.Digest, err)
		}
		if ref == "" || image.Config.Digest == "" {
			return nil, fmt.Errorf("manifest %s has no name or is itself a list: save one platform by repository:tag", manifest.Digest)
		}
		entries = append(entries, Entry{Ref: Normalize(ref), ID: image.Config.Digest})
	}
	if len(entries) == 0 {
		return nil, errors.New("index.json lists no image")
	}
	return entries, nil
}

// blob is where an OCI layout keeps the content of a digest ("sha256:abc" → "blobs/sha256/abc").
func blob(digest string) string {
	for i := range digest {
		if digest[i] == ':' {
			return path.Join("blobs", digest[:i], digest[i+1:])
		}
	}
	return ""
}
