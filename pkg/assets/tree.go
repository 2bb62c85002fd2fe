package assets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Tree are the files of one image, whose content has been found to be what their digest says.
type Tree struct {
	digest string
	first  []string
	root   *os.Root
	files  map[string]file
}

// file is one file that browsers may ask for, and what there is of it by content coding; "" is
// the file as it is.
type file struct {
	kind  string
	forms map[string]form
}

// form is one sequence of bytes: its file, and the tag that names them.
type form struct{ name, tag string }

// maxList bounds the list of first files in bytes, and maxFirst in files.
const (
	maxList  = 64 << 10
	maxFirst = 200
)

// firstForm is an entry of the list: a path, with the version that JupyterLab repeats in the query.
var firstForm = regexp.MustCompile(`^[A-Za-z0-9_~][A-Za-z0-9_~.-]*(/[A-Za-z0-9_~][A-Za-z0-9_~.-]*)*(\?v=[0-9a-zA-Z]+)?$`)

// Load reads what an image held in Folder and was copied to folder. It is an error if the files
// are not those of their digest. An image without any files gives nil.
func Load(folder string) (*Tree, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the files: %w", err)
	}
	name, err := only(root)
	if err != nil || name == "" {
		_ = root.Close()
		return nil, err
	}
	tree, err := load(root, name)
	_ = root.Close()
	return tree, err
}

// only returns the one folder whose name is a digest; "" if there is none.
func only(root *os.Root) (string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return "", fmt.Errorf("look for a digest: %w", err)
	}
	var found []string
	for _, entry := range entries {
		if entry.IsDir() && digestForm.MatchString(entry.Name()) {
			found = append(found, entry.Name())
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d folders are named like a digest, and one is expected", len(found))
}

func load(root *os.Root, name string) (*Tree, error) {
	folder, err := root.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the folder %s: %w", name, err)
	}
	found, err := read(folder.FS())
	if err == nil && digest(found) != name {
		err = errors.New("the files are not those of this digest")
	}
	if err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("folder %s: %w", name, err)
	}
	tree := &Tree{digest: name, root: folder, files: arrange(found)}
	if tree.first, err = list(root, name+listSuffix, tree.files); err != nil {
		_ = folder.Close()
		return nil, err
	}
	return tree, nil
}

// arrange sorts what was found into files and their compressed forms. What has no known type is
// not served.
func arrange(found map[string]stored) map[string]file {
	files := map[string]file{}
	for name, plain := range found {
		kind := kind(name)
		if kind == "" {
			continue
		}
		forms := map[string]form{"": {name, tag(plain)}}
		for coding, suffix := range map[string]string{"br": brotliSuffix, "gzip": gzipSuffix} {
			if packed, ok := found[name+suffix]; ok {
				forms[coding] = form{name + suffix, tag(packed)}
			}
		}
		files[name] = file{kind, forms}
	}
	return files
}

// tag is a strong ETag (RFC 9110 §8.8.3).
func tag(s stored) string { return `"` + s.sum[:32] + `"` }

// list reads the files that a first page loads. An image may have no list; one that names other
// files than the image's own is an error.
func list(root *os.Root, name string, files map[string]file) ([]string, error) {
	opened, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the list %s: %w", name, err)
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.LimitReader(opened, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("read the list %s: %w", name, err)
	}
	entries := strings.Fields(string(text))
	if len(text) > maxList || len(entries) > maxFirst {
		return nil, fmt.Errorf("the list %s is longer than %d bytes or %d files", name, maxList, maxFirst)
	}
	for _, entry := range entries {
		path, _, _ := strings.Cut(entry, "?")
		if _, ok := files[path]; !ok || !firstForm.MatchString(entry) {
			return nil, fmt.Errorf("the list %s names %.100q, which is no file of the image", name, entry)
		}
	}
	return entries, nil
}

// Digest names the content.
func (t *Tree) Digest() string { return t.digest }

// First are the files that the first page loads, with their queries.
func (t *Tree) First() []string { return slices.Clone(t.first) }

// Files returns the paths of all files, sorted.
func (t *Tree) Files() []string { return slices.Sorted(maps.Keys(t.files)) }

// Close lets go of the folder.
func (t *Tree) Close() error { return t.root.Close() }
