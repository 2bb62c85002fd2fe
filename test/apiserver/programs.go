package apiserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Programs returns the folder of the newest kube-apiserver and etcd that `onenode build` has built.
func Programs() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "perijove", "onenode", "*", "bin", "complete"))
	if err != nil || len(found) == 0 {
		return "", errors.New("kube-apiserver and etcd are not built yet; make up builds them, once")
	}
	newest, at := "", time.Time{}
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(at) {
			newest, at = filepath.Dir(path), info.ModTime()
		}
	}
	return newest, nil
}
