package chart

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"

	homes "github.com/perijove/perijove/cmd/homes/app"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/pkg/run/config"
)

// withHomes turns the driver for late homes on.
const withHomes = `homes={"enabled":true,"nodes":[{"kubeletRoot":"/srv/kubelet","nodeSelector":{"pool":"a"}},{"kubeletRoot":"/srv/other"}],"exports":[{"name":"nfs","server":"nfs.example.org","path":"/homes"},{"name":"local","path":"/srv/homes"}]}`

// The driver is root on every node. So all that it has is written down here: where it runs, what it mounts, what it may
// ask, and that it is not there unless an administrator wants it.
func testHomesDriver(t *testing.T, helm string) {
	if out, problem, err := render(helm, "-f", onenode); err != nil || strings.Contains(out, "home.perijove.dev") || strings.Contains(out, "-homes\n") && strings.Contains(out, "DaemonSet") {
		t.Errorf("the driver is there although it is off: %v %s", err, problem)
	}
	args := []string{"--set-json", withHomes}
	sets := objects[appsv1.DaemonSet](t, helm, onenode, "DaemonSet", args...)
	spec := sets["perijove-homes/perijove-homes-0"].Spec.Template.Spec
	other := sets["perijove-homes/perijove-homes-1"].Spec
	// Two that select each other's pods would delete them.
	if len(sets) != 2 || spec.NodeSelector["pool"] != "a" || other.Selector.MatchLabels["perijove.dev/nodes"] != "1" || other.Template.Spec.Volumes[1].HostPath.Path != "/srv/other" {
		t.Errorf("the drivers of both kinds of nodes: %+v", sets)
	}
	if len(spec.Containers) != 1 || spec.HostNetwork || spec.HostPID || spec.HostIPC || len(spec.Containers[0].Ports) != 0 {
		t.Fatalf("the driver's pod: %+v", spec)
	}
	mounts := map[string]corev1.MountPropagationMode{}
	for _, m := range spec.Containers[0].VolumeMounts {
		if m.MountPropagation != nil {
			mounts[m.MountPath] = *m.MountPropagation
		}
	}
	if mounts["/srv/kubelet"] != corev1.MountPropagationBidirectional || mounts["/exports/nfs"] != corev1.MountPropagationHostToContainer || len(mounts) != 3 {
		t.Errorf("mounts: %v", mounts)
	}
	for _, v := range spec.Volumes {
		if v.NFS != nil && (v.NFS.Server != "nfs.example.org" || v.NFS.Path != "/homes") || v.HostPath != nil && !slices.Contains([]string{"/srv/kubelet", "/srv/homes"}, v.HostPath.Path) {
			t.Errorf("volume %+v", v)
		}
	}
	testHomesRights(t, helm, args)
	var read homes.Config
	if err := config.Decode([]byte(objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)["perijove-homes/perijove-homes"].Data["homes-0.yaml"]), &read); err != nil {
		t.Fatal(err)
	}
	read.Node, read.ExportsFolder = "n", "/exports"
	want := []plan.Export{{Name: "nfs", Server: "nfs.example.org", Path: "/homes"}, {Name: "local", Path: "/srv/homes"}}
	if err := read.Validate(); err != nil || !slices.Equal(read.Exports, want) || read.Kubernetes.Namespace != "perijove-servers" || read.KubeletRoot != "/srv/kubelet" {
		t.Errorf("its configuration: %+v %v", read, err)
	}
}

func testHomesRights(t *testing.T, helm string, args []string) {
	t.Helper()
	driver, ok := objects[storagev1.CSIDriver](t, helm, onenode, "CSIDriver", args...)[plan.Driver]
	if !ok || !slices.Equal(driver.Spec.VolumeLifecycleModes, []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}) || !is(driver.Spec.PodInfoOnMount) || *driver.Spec.FSGroupPolicy != storagev1.NoneFSGroupPolicy {
		t.Errorf("CSIDriver: %+v", driver.Spec)
	}
	rights := func(rules []rbacv1.PolicyRule) (all []string) {
		for _, r := range rules {
			all = append(all, strings.Join(r.Resources, "+")+":"+strings.Join(r.Verbs, ","))
		}
		return all
	}
	role := objects[rbacv1.Role](t, helm, onenode, "Role", args...)["perijove-servers/perijove-homes"]
	if have := rights(role.Rules); !slices.Equal(have, []string{"pods:get,list,watch", "persistentvolumeclaims:list", "events:create,patch"}) {
		t.Errorf("its rights where servers are: %v", have)
	}
	everywhere := objects[rbacv1.ClusterRole](t, helm, onenode, "ClusterRole", args...)["perijove-perijove-homes"]
	if have := rights(everywhere.Rules); !slices.Equal(have, []string{"persistentvolumes:get"}) {
		t.Errorf("its rights everywhere: %v", have)
	}
}

func testHomesFaults(t *testing.T, helm string) {
	for values, want := range map[string]string{
		`homes={"enabled":true}`: "homes.exports: says where homes are",
		`homes={"enabled":true,"exports":[{"name":"a","path":"/a"},{"name":"a","path":"/b"}]}`:            "homes.exports[1].name: is another one's already",
		`homes={"enabled":true,"exports":[{"name":"a","path":"/a/../b"}]}`:                                "homes.exports[0].path",
		`homes={"enabled":true,"exports":[{"name":"a","path":"/a/"}]}`:                                    "homes.exports[0].path",
		`homes={"enabled":true,"exports":[{"name":"a","path":"/"}]}`:                                      "/homes/exports/0/path",
		`homes={"enabled":true,"exports":[{"name":"../a","path":"/a"}]}`:                                  "/homes/exports/0/name",
		`homes={"enabled":true,"namespace":"perijove-servers","exports":[{"name":"a","path":"/a"}]}`:      "homes.namespace: the driver is root on every node",
		`admissionPolicy.enabled=false,homes={"enabled":true,"exports":[{"name":"a","path":"/a"}]}`:       "homes.enabled: needs admissionPolicy.enabled",
		`homes={"enabled":true,"nodes":[{"kubeletRoot":"kubelet"}],"exports":[{"name":"a","path":"/a"}]}`: "/homes/nodes/0/kubeletRoot",
		`homes={"enabled":true,"exports":[{"name":"a","path":"/a","volumes":"x"}]}`:                       "/homes/exports/0",
	} {
		if _, problem, err := render(helm, "-f", onenode, "--set-json", values); err == nil || !strings.Contains(problem, want) {
			t.Errorf("%s: %v %s, want %s", values, err, problem, want)
		}
	}
}
