package spawn

import (
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// A server is told which files of its image are served, and only then.
func TestServersAreToldOfSharedFiles(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	for image, want := range map[string]string{"a:1": digest, "b:1": ""} {
		site := Site{Assets: func(image string) string { return map[string]string{"a:1": digest}[image] }}
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: Profile{Override: Override{Image: image}}, Nonce: "n"})
		told := ""
		for _, env := range pod.Spec.Containers[0].Env {
			if env.Name == contract.EnvAssets {
				told = env.Value
			}
		}
		if told != want || Describe(server.ID{User: "alice"}, pod, nil, time.Now(), time.Minute).Assets != want {
			t.Errorf("%s: told %q, want %q", image, told, want)
		}
	}
	pod := Pod(Site{}, Spec{ID: server.ID{User: "alice"}, Nonce: "n"})
	for _, env := range pod.Spec.Containers[0].Env {
		if env.Name == contract.EnvAssets {
			t.Error("without a service it is told of files")
		}
	}
}
