package gobuild

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Root finds the checkout: the nearest folder, from the working directory upwards, that holds the chart.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "deploy", "chart", "Chart.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this inside a checkout of perijove: no folder above here holds deploy/chart")
		}
		dir = filepath.Dir(dir)
	}
}
