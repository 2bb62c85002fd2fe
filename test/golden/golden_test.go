package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFileSeesADifference is the negative control of every golden test.
func TestFileSeesADifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "golden")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for got, same := range map[string]bool{"before\n": true, "after\n": false, "": false} {
		inner := &recorder{TB: t}
		File(inner, path, []byte(got))
		if inner.failed == same {
			t.Errorf("%q beside a file of %q: failed %v", got, "before\n", inner.failed)
		}
	}
}

type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
