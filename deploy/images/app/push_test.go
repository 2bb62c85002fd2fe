package app

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/images/recipe"
)

// An image goes through archive and registry unchanged, and is sent once.
func TestArchiveAndPush(t *testing.T) {
	writes := 0
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			writes++
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()

	work := t.TempDir()
	source := filepath.Join("push_test.go")
	made := recipe.Image{
		Layers: []layer.Pack{layer.Entries([]layer.Entry{{Path: "authz", Source: source, Mode: 0o755}})},
		Config: v1.Config{User: "65532", Entrypoint: []string{"/authz"}},
	}
	built := output.Image{Name: "perijove/authz", Tag: "0123456789ab", Archive: filepath.Join(work, "authz.tar")}
	if err := archive(made, work, built); err != nil {
		t.Fatal(err)
	}
	b := &builder{}
	host := strings.TrimPrefix(server.URL, "http://") + "/team/"
	pushed, err := b.push(context.Background(), host, []output.Image{built})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(pushed[0].Name + ":" + pushed[0].Tag)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532" || config.OS != "linux" || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("configuration %+v", config)
	}
	before := writes
	if _, err := b.push(context.Background(), host, []output.Image{built}); err != nil || writes != before {
		t.Errorf("second push: %v, %d writes", err, writes-before)
	}
	server.Close()
	if _, err := b.push(context.Background(), host, []output.Image{built}); err == nil {
		t.Error("a registry that is gone took an image")
	}
}
