package encoding_test

import (
	"testing"

	"github.com/perijove/perijove/pkg/web/encoding"
)

func TestAccepts(t *testing.T) {
	for accept, want := range map[string]bool{
		"gzip": true, "GZIP": true, "x-gzip": true, "deflate, gzip;q=0.1": true, "*": true, "br, *;q=0.5": true, "gzip; q=1.0": true,
		"": false, "br": false, "gzip;q=0": false, "*;q=0": false, "gzip;q=0, *": false, "identity": false, "gzip;q=x": false, "gzipped": false,
	} {
		if got := encoding.Accepts([]string{accept}, "gzip"); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if encoding.Accepts(nil, "gzip") || !encoding.Accepts([]string{"br", "gzip"}, "gzip") {
		t.Error("no header or two of them are read wrongly")
	}
}
