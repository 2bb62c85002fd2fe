package layer

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// epoch is the time of every file. It lies after 1980, so that a user who zips a
// folder of the image does not meet zip's oldest date.
var epoch = time.Unix(1_000_000_000, 0)

// Entry is one file, folder or symbolic link of a layer.
type Entry struct {
	Path   string // in the image, no leading slash
	Source string // file to copy from; "" for a folder
	Mode   fs.FileMode
	UID    int
	GID    int
}

// Entries packs the entries in the order given; a folder has fs.ModeDir in its mode.
func Entries(entries []Entry) Pack {
	return func(to *tar.Writer) error {
		for _, entry := range entries {
			if err := writeEntry(to, entry); err != nil {
				return fmt.Errorf("pack %s: %w", entry.Path, err)
			}
		}
		return nil
	}
}

func writeEntry(to *tar.Writer, entry Entry) error {
	header := &tar.Header{
		Name: entry.Path, Mode: int64(entry.Mode.Perm()), Uid: entry.UID, Gid: entry.GID,
		ModTime: epoch, Format: tar.FormatPAX, Typeflag: tar.TypeReg,
	}
	if entry.Mode.IsDir() {
		header.Typeflag, header.Name = tar.TypeDir, entry.Path+"/"
		return to.WriteHeader(header)
	}
	info, err := os.Stat(entry.Source)
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	return copyFile(to, entry.Source)
}

// Tree packs everything below root with its owners and modes, except the paths for
// which skip is true (relative, with slashes; a skipped folder is skipped whole).
// Devices and sockets are left out: a container's engine makes its own.
func Tree(root string, skip func(path string) bool) Pack {
	return func(to *tar.Writer) error {
		links := map[uint64]string{} // inode → first path, so that hard links stay links
		return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil || name == "." {
				return err
			}
			if skip(name) {
				if entry.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			if err := writeTreeEntry(to, path, name, entry, links); err != nil {
				return fmt.Errorf("pack %s: %w", name, err)
			}
			return nil
		})
	}
}

func writeTreeEntry(to *tar.Writer, path, name string, entry fs.DirEntry, links map[uint64]string) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	mode := info.Mode()
	if !mode.IsRegular() && !mode.IsDir() && mode&fs.ModeSymlink == 0 {
		return nil
	}
	target := ""
	if mode&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Format = name, tar.FormatPAX
	header.Uname, header.Gname = "", ""
	header.Mode &= 0o1777 // no set-user-ID program: nothing in an image may become root
	header.ModTime, header.AccessTime, header.ChangeTime = epoch, time.Time{}, time.Time{}
	if mode.IsDir() {
		header.Name += "/"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && mode.IsRegular() && stat.Nlink > 1 {
		if first, seen := links[stat.Ino]; seen {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
			return to.WriteHeader(header)
		}
		links[stat.Ino] = name
	}
	if err := to.WriteHeader(header); err != nil || !mode.IsRegular() {
		return err
	}
	return copyFile(to, path)
}

func copyFile(to io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}
