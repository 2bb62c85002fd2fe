package listener_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/golden"
)

// mostPage bounds a page in bytes: each is in the listener's configuration of every Envoy.
const mostPage = 6 << 10

// TestEdgePages makes the pages that Envoy answers by itself from the templates of the others. They
// load nothing: the services that have the files may be what is missing.
func TestEdgePages(t *testing.T) {
	pages, err := web.EdgePages()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, html := range pages {
		names = append(names, "pages/"+name)
		golden.File(t, "pages/"+name, html)
		if len(html) > mostPage {
			t.Errorf("%s has %d bytes", name, len(html))
		}
		for _, loads := range []string{"<script", "<link", "src=", "url(", "@import"} {
			if strings.Contains(string(html), loads) {
				t.Errorf("%s has %q", name, loads)
			}
		}
	}
	slices.Sort(names)
	if files, err := filepath.Glob("pages/*"); err != nil || !slices.Equal(files, names) {
		t.Errorf("pages %q, want %q (%v)", files, names, err)
	}
}
