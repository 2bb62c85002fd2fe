package chart

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/server/access"
)

// policy is what users are due after an installation.
func policy(t *testing.T, helm string, args ...string) spawn.Policy {
	t.Helper()
	text := objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)["perijove-servers/perijove-profiles"].Data[profiles.Key]
	p, err := profiles.Read(text)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, text)
	}
	return p
}

// A list of KubeSpawner's reaches the spawner as it is, with what singleuser says below it.
func testProfileList(t *testing.T, helm string) {
	if c := policy(t, helm).Profiles; len(c) != 1 || c[0].Slug != "jupyterlab" {
		t.Errorf("without a list: %+v", c)
	}
	due := policy(t, helm, "-f", "testdata/zerotojupyterhub.yaml")
	c := due.Profiles
	var slugs []string
	for _, p := range c {
		slugs = append(slugs, p.Slug)
	}
	if want := []string{"small", "data-science", "gpu"}; !slices.Equal(slugs, want) {
		t.Fatalf("profiles %v, want %v", slugs, want)
	}
	if o := c[1].Override; o.Image != "quay.io/jupyter/datascience-notebook:2025-03-14" || o.Environment["COURSE"] != "7" || o.Environment["LANG"] != "C.UTF-8" || o.CPUGuarantee != "0.1" || o.DefaultURL != "/tree" {
		t.Errorf("the second profile: %+v", o)
	}
	if o := c[0].Override; o.StorageClass != "fast" || o.StorageCapacity != "10Gi" || o.StorageType != "dynamic" || len(o.VolumeMounts) != 1 || o.Volumes[0].PersistentVolumeClaim.ClaimName != "jupyterhub-shared" {
		t.Errorf("storage: %+v", o)
	}
	age, ageErr := c[0].MaxAge.Duration()
	if idle, err := c[0].Cull.Idle.Duration(); err != nil || ageErr != nil || age != 24*time.Hour || idle != 90*time.Minute {
		t.Errorf("servers end at %v and after %v without use, %v, %v", age, idle, ageErr, err)
	}
	if own := policy(t, helm, "--set", "cull.maxAge=3600").Profiles[0]; own.MaxAge != "" || own.Cull.Idle != "" {
		t.Errorf("negative control: without cull.enabled they end too: %+v", own.Lifetime)
	}
	if got, err := due.Resolve(access.User{}, spawn.Options{}); err != nil || got.Slug != "data-science" {
		t.Errorf("the default is %q, %v", got.Slug, err)
	}
	if got, err := due.Resolve(access.User{Groups: []string{"physics"}}, spawn.Options{Profile: "gpu", Choices: map[string]string{"cards": "two"}}); err != nil || got.Override.ExtraResourceLimits["nvidia.com/gpu"] != "2" {
		t.Errorf("two cards: %+v, %v", got.Override.ExtraResourceLimits, err)
	}
	if _, err := due.Resolve(access.User{Groups: []string{"chess"}}, spawn.Options{Profile: "gpu"}); err == nil {
		t.Error("another group gets the GPU")
	}
}

// Keys of Zero to JupyterHub that are not honoured are named, each with its place.
func testForeignKeys(t *testing.T, helm string) {
	for set, key := range map[string]string{
		`cull.every=600`:                              "every",
		`cull.users=true`:                             "users",
		`cull.concurrency=10`:                         "concurrency",
		`cull.adminUsers=true`:                        "adminUsers",
		`cull.removeNamedServers=true`:                "removeNamedServers",
		`singleuser.initContainers=[]`:                "initContainers",
		`singleuser.lifecycleHooks={}`:                "lifecycleHooks",
		`singleuser.uid=0`:                            "uid",
		`singleuser.extraPodConfig={}`:                "extraPodConfig",
		`singleuser.storage.extraLabels={}`:           "extraLabels",
		`singleuser.storage.homeMountPath="/home/me"`: "/singleuser/storage/homeMountPath",
		`singleuser.storage.dynamic.pvcNameTemplate="claim-{user_server}"`:                                   "pvcNameTemplate",
		`singleuser.storage.dynamic.volumeNameTemplate="volume-{user}"`:                                      "volumeNameTemplate",
		`singleuser.storage.static.subPath="{unescaped_username}"`:                                           "/singleuser/storage/static/subPath",
		`singleuser.storage.type="hostPath"`:                                                                 "/singleuser/storage/type",
		`singleuser.storage.type="static"`:                                                                   "/singleuser/storage/static/pvcName",
		`singleuser.profileList=[{"display_name":"A","kubespawner_override":{"init_containers":[]}}]`:        "init_containers",
		`singleuser.profileList=[{"display_name":"A","kubespawner_override":{"lifecycle_hooks":{}}}]`:        "lifecycle_hooks",
		`singleuser.profileList=[{"display_name":"A","profile_options":{"o":{"choices":{"x":{"name":1}}}}}]`: "name",
	} {
		if _, problem, err := render(helm, "-f", onenode, "--set-json", set); err == nil || !strings.Contains(problem, key) {
			t.Errorf("%s: %v, does not name %s", set, problem, key)
		}
	}
}
