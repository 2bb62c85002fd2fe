package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/perijove/perijove/deploy/images/layer"
)

// serviceUser is the unprivileged user of every image but the notebook's.
const serviceUser = 65532

// Image is what a recipe makes: layers, the lowest first, and how it starts.
type Image struct {
	Layers []layer.Pack
	Config v1.Config
}

// Recipe makes one image.
type Recipe struct {
	Name  string   // repository, such as "perijove/authz"
	Words []string // inputs that are text: versions, package names
	Files []string // inputs that are files, or folders with all below them
	Make  func(ctx context.Context, kitchen Kitchen) (Image, error)
}

// Kitchen is where a recipe works.
type Kitchen struct {
	Work string    // an empty folder, removed when the image is packed
	Log  io.Writer // what programs print
}

// Key is a short hash of all inputs and of salt: it changes whenever the image would.
func (r Recipe) Key(salt string) (string, error) {
	hash := sha256.New()
	for _, word := range append([]string{salt, r.Name}, r.Words...) {
		fmt.Fprintf(hash, "%d:%s", len(word), word)
	}
	for _, root := range r.Files {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(hash, "%d:%s%d:", len(name), name, len(content))
			hash.Write(content)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("hash the inputs of %s: %w", r.Name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
