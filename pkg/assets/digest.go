package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
)

// Folder is where an image holds its files: <digest>/… and the list <digest>.first.
const Folder = "/usr/local/share/perijove/assets"

// Bounds of one image's files. JupyterLab 4 has 300 files and 17 MB, 24 MB with compressed ones.
const (
	maxFiles = 20_000
	maxBytes = 1 << 30
)

// digestForm is a SHA-256 sum in hexadecimal digits.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Compressed files stand beside the plain ones with these endings.
const (
	brotliSuffix = ".br"
	gzipSuffix   = ".gz"
)

// kind returns the Content-Type of a file by its name, "" for one that browsers load as nothing.
func kind(name string) string {
	return map[string]string{
		".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
		".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon",
		".wasm": "application/wasm", ".map": "application/json; charset=utf-8",
		".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	}[path.Ext(name)]
}

// stored is one file below the digest's folder as it was read.
type stored struct {
	sum  string
	size int64
}

// read returns the sums of all files of a folder by path. A file that is no regular one, such as a
// link, is an error: a digest names bytes.
func read(folder fs.FS) (map[string]stored, error) {
	all, total := map[string]stored{}, int64(0)
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", name)
		}
		one, err := sum(folder, name)
		if err != nil {
			return err
		}
		total += one.size
		if all[name] = one; len(all) > maxFiles || total > maxBytes {
			return fmt.Errorf("more than %d files or %d bytes", maxFiles, maxBytes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no files")
	}
	return all, nil
}

func sum(folder fs.FS, name string) (stored, error) {
	file, err := folder.Open(name)
	if err != nil {
		return stored{}, err
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	size, err := io.Copy(h, io.LimitReader(file, maxBytes+1))
	if err != nil {
		return stored{}, fmt.Errorf("read %s: %w", name, err)
	}
	return stored{hex.EncodeToString(h.Sum(nil)), size}, nil
}

// digest names files by their paths and contents: the SHA-256 sum of what sha256sum would print
// of them, sorted by path.
func digest(files map[string]stored) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_, _ = fmt.Fprintf(h, "%s  %s\n", files[name].sum, name)
	}
	return hex.EncodeToString(h.Sum(nil))
}
