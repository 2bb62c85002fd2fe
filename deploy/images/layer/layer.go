package layer

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pack writes the members of one layer.
type Pack func(to *tar.Writer) error

// Layer is a packed layer in a file. Its hashes were taken while it was written:
// go-containerregistry's own layers compress again for each hash that they are asked.
type Layer struct {
	path           string
	digest, diffID v1.Hash
	size           int64
}

// Write packs a layer into the file path, which must not exist.
func Write(path string, pack Pack) (*Layer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the layer: %w", err)
	}
	defer file.Close()
	compressed, plain := sha256.New(), sha256.New()
	// Fast compression: the archive crosses a disk once, not the world.
	zip, err := gzip.NewWriterLevel(io.MultiWriter(file, compressed), gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	members := tar.NewWriter(io.MultiWriter(zip, plain))
	if err := pack(members); err != nil {
		return nil, err
	}
	if err := errors.Join(members.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("finish the layer: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("measure the layer: %w", err)
	}
	return &Layer{path: path, digest: sum(compressed), diffID: sum(plain), size: info.Size()}, file.Close()
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// Digest is the hash of the compressed layer (v1.Layer).
func (l *Layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the hash of the layer before compression (v1.Layer).
func (l *Layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is the number of compressed bytes (v1.Layer).
func (l *Layer) Size() (int64, error) { return l.size, nil }

// MediaType says gzipped tar (v1.Layer).
func (l *Layer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

// Compressed opens the file (v1.Layer).
func (l *Layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed opens the file and expands it (v1.Layer).
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{zip, file}, nil
}
