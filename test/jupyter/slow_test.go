package jupyter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSlowImageSaysSo: a server tells in its log what makes each start of its image slow, if it is something known.
func TestSlowImageSaysSo(t *testing.T) {
	dir := t.TempDir()
	grammar := filepath.Join(dir, "rfc3987_syntax")
	for name, text := range map[string]string{
		"__init__.py":       "from .syntax_helpers import is_valid_syntax\n",
		"syntax_helpers.py": "def is_valid_syntax(kind, text): return True\n",
	} {
		if err := os.MkdirAll(grammar, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(grammar, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const says = "perijove: this image starts slowly: "
	out, _ := begun(t, plain, "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1", "PYTHONPYCACHEPREFIX="+t.TempDir())
	for _, reason := range []string{"rfc3987-syntax", "Python's packages have no bytecode"} {
		if !strings.Contains(out, says+reason) {
			t.Errorf("it does not name %s:\n%s", reason, out)
		}
	}
	if out, _ := begun(t, quick); strings.Contains(out, says) {
		t.Errorf("negative control: an image as it should be is told off:\n%s", out)
	}
}
