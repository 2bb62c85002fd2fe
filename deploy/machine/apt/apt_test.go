package apt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	status := "installed bash\nconfig-files slapd\nnot-installed chromium\n"
	got := missing(status, []string{"slapd", "bash", "chromium", "unheard-of"})
	if diff := cmp.Diff([]string{"slapd", "chromium", "unheard-of"}, got); diff != "" {
		t.Error(diff)
	}
	if got := missing("installed bash\n", []string{"bash"}); got != nil {
		t.Errorf("missing = %v, want none", got)
	}
}

func TestForbidDaemons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	restore, err := forbidDaemons(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != refuseDaemons {
		t.Errorf("policy = %q", text)
	}
	restore()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("our policy stayed behind")
	}

	if err := os.WriteFile(path, []byte("the owner's"), 0o755); err != nil {
		t.Fatal(err)
	}
	restore, err = forbidDaemons(path)
	if err != nil {
		t.Fatal(err)
	}
	restore()
	if text, _ := os.ReadFile(path); string(text) != "the owner's" {
		t.Errorf("the owner's policy became %q", text)
	}
}
