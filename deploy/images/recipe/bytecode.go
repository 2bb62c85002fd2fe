package recipe

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// uncheckedHash is the second word of bytecode that Python believes without a look at its source (PEP 552).
const uncheckedHash = 0b01

// stale returns the Python sources below dir without bytecode of that version ("3.11") that holds for good. Such a
// source would be compiled again at every start: the layer sets all times anew, and a user cannot write beside it.
func stale(dir, version string) ([]string, error) {
	suffix := ".cpython-" + strings.ReplaceAll(version, ".", "") + ".pyc"
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".py" {
			return err
		}
		folder, name := filepath.Split(path)
		lasts, err := lasting(filepath.Join(folder, "__pycache__", strings.TrimSuffix(name, ".py")+suffix))
		if err == nil && !lasts {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for bytecode below %s: %w", dir, err)
	}
	return found, nil
}

// lasting says whether a file is bytecode that Python takes as it is. One that is missing is not.
func lasting(path string) (bool, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	var header [8]byte // magic number, flags
	if _, err := io.ReadFull(file, header[:]); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return binary.LittleEndian.Uint32(header[4:]) == uncheckedHash, nil
}
