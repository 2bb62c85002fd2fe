package chart

import (
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const production = "testdata/production.values.yaml"

// B-22: an image is named by tag or by digest, of our pods and of users', and never gets
// a tag more than it should.
func testImages(t *testing.T, helm string) {
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for _, c := range []struct{ name, tag, want string }{
		{"perijove/x", "", "perijove/x:0.1.0"},
		{"perijove/x", "2.0", "perijove/x:2.0"},
		{"registry.example.org:5000/team/x", "", "registry.example.org:5000/team/x:0.1.0"},
		{"registry.example.org:5000/team/x:2.0", "", "registry.example.org:5000/team/x:2.0"},
		{"perijove/x" + digest, "", "perijove/x" + digest},
		{"perijove/x:2.0" + digest, "", "perijove/x:2.0" + digest},
		{"perijove/x" + digest, "2.0", "perijove/x:2.0" + digest},
	} {
		var args []string
		for _, key := range []string{"singleuser.image", "gateway.envoy.image"} {
			args = append(args, "--set-string", key+".name="+c.name+","+key+".tag="+c.tag)
		}
		if have := policy(t, helm, args...).Profiles[0].Override.Image; have != c.want {
			t.Errorf("%s, tag %q: servers are made from %s, want %s", c.name, c.tag, have, c.want)
		}
		pod := objects[appsv1.Deployment](t, helm, onenode, "Deployment", args...)["perijove-gateway"].Spec.Template.Spec
		if have := pod.Containers[0].Image; have != c.want {
			t.Errorf("%s, tag %q: the gateway runs %s, want %s", c.name, c.tag, have, c.want)
		}
	}
	for _, bad := range []string{"Perijove/x", "x:y:z", "x@sha256:12", "x y", "https://x", "-x", "x/", ""} {
		if _, problem, err := render(helm, "-f", onenode, "--set-string", "singleuser.image.name="+bad); err == nil || !strings.Contains(problem, "/singleuser/image/name") {
			t.Errorf("the image %q is accepted: %v", bad, problem)
		}
	}
	if _, problem, err := render(helm, "-f", onenode, "--set-string", "singleuser.image.name=x:1,singleuser.image.tag=2"); err == nil || !strings.Contains(problem, "/singleuser/image") {
		t.Errorf("an image with two tags: %v", problem)
	}
}

// B-19: what is for all images reaches all pods, users' servers included.
func testPullSecrets(t *testing.T, helm string) {
	for name, d := range objects[appsv1.Deployment](t, helm, onenode, "Deployment", "--set", "imagePullSecrets={registry}") {
		if have := d.Spec.Template.Spec.ImagePullSecrets; len(have) != 1 || have[0].Name != "registry" {
			t.Errorf("%s pulls with %v", name, have)
		}
	}
	for set, want := range map[string]int{"imagePullSecrets={registry}": 1, "imagePullSecrets=null": 0} {
		pod := spawn.Pod(spawn.Site{}, spawn.Spec{ID: server.ID{User: "x"}, Profile: policy(t, helm, "--set", set).Profiles[0]})
		if have := pod.Spec.ImagePullSecrets; len(have) != want || want == 1 && have[0].Name != "registry" {
			t.Errorf("%s: servers pull with %v", set, have)
		}
	}
}

// B-21: with Secrets of one's own nothing is made at random, so that a tool that applies
// `helm template` sees a change only where there is one.
func testRendersAlike(t *testing.T, helm string) {
	twice := func(args ...string) bool {
		first, problem, err := render(helm, args...)
		if err != nil {
			t.Fatal(problem)
		}
		second, _, _ := render(helm, args...)
		return first == second
	}
	if !twice("-f", production) {
		t.Error("two renderings with all of secrets.existing… differ")
	}
	if twice("-f", production, "--set", "secrets.existingServerKey=") { // the negative control
		t.Error("the server key is not random")
	}
	for _, one := range []string{"existingGatewayTLS", "existingSpawnerTLS", "existingAssetsTLS"} {
		_, problem, err := render(helm, "-f", onenode, "--set", "secrets."+one+"=x")
		if err == nil || !strings.Contains(problem, "/secrets/existing") {
			t.Errorf("%s alone: the other certificate would be of another authority: %v", one, problem)
		}
	}
	out, problem, err := render(helm, "-f", onenode, "--show-only", "templates/secrets.yaml")
	if err != nil {
		t.Fatal(problem)
	}
	// The README's way: these are made once by hand, and named in secrets.existing….
	for _, name := range []string{"server-key", "servers-ca", "session-keys", "gateway-tls", "spawner-tls", "assets-tls"} {
		if !regexp.MustCompile(`(?m)^  name: perijove-` + name + `$`).MatchString(out) {
			t.Errorf("templates/secrets.yaml does not make perijove-%s", name)
		}
	}
}
