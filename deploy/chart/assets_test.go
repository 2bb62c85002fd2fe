package chart

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	assetsapp "github.com/perijove/perijove/cmd/assets/app"
	spawnerapp "github.com/perijove/perijove/cmd/spawner/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
)

// Containers of foreign images copy their files, each into a folder of its own; no key of the platform is
// in them, and the pod has no token and connects to nobody.
func testAssets(t *testing.T, helm string) {
	args := []string{"--set", "singleuser.image.name=a:1,assets.images={b:1,a:1,c:1}"}
	pod := objects[appsv1.Deployment](t, helm, onenode, "Deployment", args...)["perijove-assets"].Spec.Template.Spec
	var images, folders []string
	for _, c := range pod.InitContainers {
		images = append(images, c.Image)
		if len(c.VolumeMounts) != 1 || c.VolumeMounts[0].Name != "files" || c.VolumeMounts[0].SubPath == "" {
			t.Errorf("%s mounts %v", c.Image, c.VolumeMounts)
			continue
		}
		folders = append(folders, "/images/"+c.VolumeMounts[0].SubPath)
	}
	if !slices.Equal(images, []string{"a:1", "b:1", "c:1"}) {
		t.Errorf("files are copied from %v", images)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || pod.ServiceAccountName != "" {
		t.Error("the pod has a token")
	}
	var cfg assetsapp.Config
	decode(t, objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)["perijove-assets"].Data["assets.yaml"], &cfg)
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	for i, image := range cfg.Images {
		if image.Name != images[i] || image.Folder != folders[i] {
			t.Errorf("%s is served from %s", image.Name, image.Folder)
		}
	}
	policy := objects[networkingv1.NetworkPolicy](t, helm, onenode, "NetworkPolicy", args...)["perijove-assets"].Spec
	if len(policy.Egress) != 0 || !slices.Contains(policy.PolicyTypes, networkingv1.PolicyTypeEgress) {
		t.Errorf("the pod may connect to %v", policy.Egress)
	}
	address := func(args ...string) (envoy, spawner string) {
		var xds xdsserver.Config
		var hub spawnerapp.Config
		maps := objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)
		decode(t, maps["perijove-gateway"].Data["xds-server.yaml"], &xds)
		decode(t, maps["perijove-spawner"].Data["spawner.yaml"], &hub)
		return xds.Upstreams.Assets, hub.Assets
	}
	if envoy, spawner := address(args...); envoy != "perijove-assets.perijove.svc:8443" || spawner != envoy {
		t.Errorf("Envoy asks %q, the spawner %q", envoy, spawner)
	}
	const off = "assets.enabled=false"
	if envoy, spawner := address("--set", off); envoy != "" || spawner != "" {
		t.Errorf("off, Envoy asks %q, the spawner %q", envoy, spawner)
	}
	if out, problem, err := render(helm, "-f", onenode, "--set", off); err != nil || strings.Contains(out, "name: perijove-assets") {
		t.Errorf("off, there is something of it: %v %s", err, problem)
	}
	if _, problem, err := render(helm, "-f", onenode, "--set", "assets.images={A b}"); err == nil || !strings.Contains(problem, "/assets/images/0") {
		t.Errorf("an image that is none: %v %s", err, problem)
	}
}
