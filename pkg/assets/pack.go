package assets

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/andybalholm/brotli"
	"golang.org/x/sync/errgroup"
)

// listSuffix ends the name of the list of first files.
const listSuffix = ".first"

// smallest is the size in bytes below which nothing is compressed: it fits into a packet as it is.
const smallest = 1024

// Pack copies the files of source that browsers load, such as share/jupyter/lab/static, into the
// folder out, each with its compressed forms, below the digest of them all, which it returns.
// What out held before goes away. first are patterns (path.Match) for the files that the first page
// loads, in the order of their use; each must match exactly one file. Without any the list is empty.
func Pack(source, out string, first []string) (digestOf string, err error) {
	if err := os.RemoveAll(out); err != nil {
		return "", fmt.Errorf("remove older files: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("make the folder: %w", err)
	}
	work := filepath.Join(out, "work")
	names, err := copies(source, work)
	if err != nil {
		return "", err
	}
	list, err := resolve(names, first)
	if err != nil {
		return "", err
	}
	found, err := read(os.DirFS(work))
	if err != nil {
		return "", fmt.Errorf("read what was written: %w", err)
	}
	name := digest(found)
	if err := os.Rename(work, filepath.Join(out, name)); err != nil {
		return "", fmt.Errorf("name the folder: %w", err)
	}
	if len(list) > 0 {
		if err := os.WriteFile(filepath.Join(out, name+listSuffix), []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
			return "", fmt.Errorf("write the list of first files: %w", err)
		}
	}
	return name, nil
}

// copies copies the files that browsers load and compresses them, and returns their paths.
func copies(source, to string) ([]string, error) {
	var names []string
	group := errgroup.Group{}
	group.SetLimit(runtime.NumCPU())
	err := fs.WalkDir(os.DirFS(source), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || kind(name) == "" {
			return err
		}
		names = append(names, name)
		group.Go(func() error { return copyOne(filepath.Join(source, name), filepath.Join(to, name)) })
		return nil
	})
	if err := errors.Join(err, group.Wait()); err != nil {
		return nil, fmt.Errorf("copy %s: %w", source, err)
	}
	return names, nil
}

func copyOne(from, to string) error {
	plain, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, plain, 0o644); err != nil {
		return err
	}
	if len(plain) < smallest {
		return nil
	}
	for suffix, packer := range map[string]func(io.Writer) (io.WriteCloser, error){
		brotliSuffix: func(w io.Writer) (io.WriteCloser, error) {
			return brotli.NewWriterLevel(w, brotli.BestCompression), nil
		},
		gzipSuffix: func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) },
	} {
		var packed bytes.Buffer
		w, err := packer(&packed)
		if err != nil {
			return err
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if packed.Len() >= len(plain)*9/10 { // a picture or a font that is compressed already
			continue
		}
		if err := os.WriteFile(to+suffix, packed.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// versioned is a name with the hash of the content, which JupyterLab repeats in the query.
var versioned = regexp.MustCompile(`\.([0-9a-f]{16,})\.js$`)

// resolve finds the one file of each pattern, and its address.
func resolve(names, patterns []string) ([]string, error) {
	var list []string
	var faults []error
	for _, pattern := range patterns {
		var found []string
		for _, name := range names {
			if ok, err := path.Match(pattern, name); err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			} else if ok {
				found = append(found, name)
			}
		}
		if len(found) != 1 {
			faults = append(faults, fmt.Errorf("pattern %q matches %d files and not one", pattern, len(found)))
			continue
		}
		address := found[0]
		if hash := versioned.FindStringSubmatch(address); hash != nil {
			address += "?v=" + hash[1]
		}
		list = append(list, address)
	}
	return list, errors.Join(faults...)
}
