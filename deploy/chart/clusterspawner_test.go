//go:build cluster

package chart

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// B8: neither service account reads a Secret that is not its own business.
func TestClusterServicesReadNoSecrets(t *testing.T) {
	ctx := context.Background()
	for account, own := range map[string]string{"perijove-gateway": "perijove-revocations", "perijove-spawner": ""} {
		client := as(t, serviceAccount(account)).CoreV1()
		for _, name := range []string{"perijove-session-keys", "perijove-server-key", "perijove-servers-ca", "perijove-internal-ca", "perijove-revocations"} {
			_, err := client.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
			if allowed := err == nil; allowed != (name == own) {
				t.Errorf("%s reads %s: %v", account, name, err)
			}
		}
		for _, space := range []string{namespace, servers} {
			if _, err := client.Secrets(space).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("%s lists Secrets of %s: %v", account, space, err)
			}
		}
		accounts := client.Secrets(namespace + "-accounts")
		if _, err := accounts.List(ctx, metav1.ListOptions{}); (err == nil) != (account == "perijove-gateway") {
			t.Errorf("%s lists accounts: %v", account, err)
		}
		if err := accounts.Delete(ctx, "nobody", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s deletes accounts: %v", account, err)
		}
	}
}

// B8, S10: beside the platform's keys the spawner may do nothing at all.
func TestClusterSpawnerHasNoRightsBesideTheKeys(t *testing.T) {
	ctx, pod := context.Background(), spawned("alice")
	pod.Namespace = namespace
	client := as(t, serviceAccount("perijove-spawner")).CoreV1()
	if _, err := client.Pods(namespace).Create(ctx, pod, dry); !apierrors.IsForbidden(err) {
		t.Errorf("create a pod: %v", err)
	}
	if _, err := client.Pods(namespace).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list pods: %v", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: unique()}}
	if _, err := client.Secrets(namespace).Create(ctx, secret, dry); !apierrors.IsForbidden(err) {
		t.Errorf("create a Secret: %v", err)
	}
	if _, err := client.Secrets(servers).Create(ctx, secret, dry); err != nil { // the negative control
		t.Errorf("create a Secret among servers: %v", err)
	}
}

// spawned is a pod as the spawner makes it.
func spawned(user string) *corev1.Pod {
	profile := spawn.Profile{DisplayName: "x", Slug: "x"}
	profile.Override.Image = "none"
	return spawn.Pod(spawn.Site{Namespace: servers, JupyterConfigMap: "perijove-jupyter"},
		spawn.Spec{ID: server.ID{User: user}, Profile: profile, Nonce: "abcdefghijklmnop"})
}

// space makes a namespace without Pod Security for the length of a test.
func space(t *testing.T) string {
	t.Helper()
	ctx, admin, name := context.Background(), as(t, "").CoreV1().Namespaces(), unique()
	if _, err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(ctx, name, metav1.DeleteOptions{}) })
	return name
}

// K4, K12: what a stolen token of the spawner could ask for, in a namespace that would
// refuse nothing of it by itself, as where servers live beside the platform.
func TestClusterSpawnerIsBound(t *testing.T) {
	account, space := serviceAccount("perijove-spawner"), space(t)
	grant(t, space, account)
	other := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "perijove-gateway"}}
	if _, err := as(t, "").CoreV1().ServiceAccounts(space).Create(context.Background(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := as(t, account).CoreV1().Pods(space)
	try := func(change func(*corev1.Pod)) error {
		pod := spawned(unique())
		pod.Namespace = space
		change(pod)
		_, err := pods.Create(context.Background(), pod, dry)
		return err
	}
	if err := try(func(*corev1.Pod) {}); err != nil {
		t.Fatalf("an ordinary server: %v", err)
	}
	volume := func(source corev1.VolumeSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "x", VolumeSource: source})
		}
	}
	secret := func(name string) *corev1.SecretKeySelector {
		return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "key"}
	}
	for what, change := range map[string]func(*corev1.Pod){
		"a Secret as a volume": volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "perijove-session-keys"}}),
		"a Secret in a projected volume": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "perijove-session-keys"}}},
		}}}),
		"a service account's token": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
		}}}),
		"a folder of the node": volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}),
		"a Secret in the environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret("perijove-session-keys")}})
		},
		"a whole Secret in the environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "perijove-session-keys"}}}}
		},
		"a Secret in an init container": func(p *corev1.Pod) {
			first := *p.Spec.Containers[0].DeepCopy()
			first.Name, first.Env = "first", []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret("perijove-session-keys")}}}
			p.Spec.InitContainers = []corev1.Container{first}
		},
		// The pod's name is the spawner's to choose: a prefix alone would not bind it.
		"a Secret whose name begins with the pod's": func(p *corev1.Pod) {
			p.Name = "perijove"
			volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "perijove-server-key"}})(p) // ten characters more
		},
		"a pull secret":            func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "other"}} },
		"a service account":        func(p *corev1.Pod) { p.Spec.ServiceAccountName = "perijove-gateway" },
		"the default's token":      func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = nil },
		"the node's network":       func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"the node's processes":     func(p *corev1.Pod) { p.Spec.HostPID = true },
		"set-user-ID":              func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"a port of the node":       func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].HostPort = 80 },
		"the cluster's priority":   func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-cluster-critical" },
		"a volume of a CSI driver": volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "secrets-store.csi.k8s.io"}}),
	} {
		if err := try(change); err == nil || !strings.Contains(err.Error(), "perijove-perijove-spawner") {
			t.Errorf("%s: want the policy's refusal, have %v", what, err)
		}
	}
}

// K12: where servers live the cluster itself refuses a pod with privileges, an administrator's too.
func TestClusterServersAreRestricted(t *testing.T) {
	pods := as(t, "").CoreV1().Pods(servers)
	for what, change := range map[string]func(*corev1.Pod){
		"":                   func(*corev1.Pod) {}, // the negative control
		"root":               func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = nil },
		"capabilities":       func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.Capabilities = nil },
		"the node's network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"a folder of the node": func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		},
	} {
		pod := unscheduled(unique(), nil, nil)
		change(pod)
		_, err := pods.Create(context.Background(), pod, dry)
		if what == "" {
			if err != nil {
				t.Errorf("an unprivileged pod: %v", err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "restricted") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// An upgrade of a release whose servers lived beside the platform stops before users get
// empty homes.
func TestClusterUpgradeLeavesNoHomesBehind(t *testing.T) {
	ctx, admin, helm, space := context.Background(), as(t, ""), helm(t), space(t)
	try := func(args ...string) (string, error) {
		args = append([]string{"template", "perijove", ".", "--namespace", space, "-f", onenode, "--dry-run=server"}, args...)
		out, err := exec.Command(helm, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := try(); err != nil {
		t.Fatalf("without homes: %v\n%s", err, out)
	}
	claim := spawn.Claim(spawn.Site{Namespace: space}, spawn.Profile{}, server.ID{User: "alice"})
	if claim.Labels[contract.LabelManagedBy] == "" {
		t.Fatal("the claim is not marked as the spawner's")
	}
	if _, err := admin.CoreV1().PersistentVolumeClaims(space).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if out, err := try(); err == nil || !strings.Contains(out, "singleuser.namespace") || !strings.Contains(out, "operating.md") {
		t.Errorf("homes are left behind without a word: %v\n%s", err, out)
	}
	for _, chosen := range []string{space, space + "-servers"} {
		if out, err := try("--set", "singleuser.namespace="+chosen); err != nil {
			t.Errorf("singleuser.namespace=%s: %v\n%s", chosen, err, out)
		}
	}
}

// The script of docs/operating.md moves a home volume as it is, with its owner's name, and
// the volume is deleted with its claim only where it was before.
func TestClusterHomesMove(t *testing.T) {
	ctx, admin, from, to := context.Background(), as(t, ""), space(t), space(t)
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: unique()},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nonexistent"}},
		},
	}
	if _, err := admin.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}) })
	claim := spawn.Claim(spawn.Site{Namespace: from}, spawn.Profile{}, server.ID{User: "Zoë O'Neill"})
	claim.Spec.StorageClassName, claim.Spec.VolumeName = new(""), volume.Name
	if _, err := admin.CoreV1().PersistentVolumeClaims(from).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Within(t, 30*time.Second, "the claim is bound", func() bool { return boundTo(t, from, claim.Name) == volume.Name })
	create := unscheduled(unique(), map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner}, nil)
	if _, err := admin.CoreV1().Pods(from).Create(ctx, create, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	move := func() (string, error) {
		script := exec.Command("./move-homes.sh", from, to)
		script.Env = append(os.Environ(), "KUBECTL="+kubectl.Path())
		out, err := script.CombinedOutput()
		return string(out), err
	}
	if out, err := move(); err == nil || !strings.Contains(out, "still run") || boundTo(t, from, claim.Name) == "" {
		t.Fatalf("a home was moved under a running server: %v\n%s", err, out)
	}
	if err := admin.CoreV1().Pods(from).Delete(ctx, create.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll("homes-of-" + from) })
	for range 2 { // the second time there is nothing to do
		if out, err := move(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	moved, err := admin.CoreV1().PersistentVolumeClaims(to).Get(ctx, claim.Name, metav1.GetOptions{})
	if err != nil || !spawn.OwnsClaim(moved, server.ID{User: "Zoë O'Neill"}) || boundTo(t, to, claim.Name) != volume.Name {
		t.Errorf("the moved claim: %+v, %v", moved, err)
	}
	if boundTo(t, from, claim.Name) != "" {
		t.Error("the claim is in both namespaces")
	}
	after, err := admin.CoreV1().PersistentVolumes().Get(ctx, volume.Name, metav1.GetOptions{})
	if err != nil || after.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("the volume afterwards: %+v, %v", after.Spec, err)
	}
}

// boundTo is the volume of a bound claim, else "".
func boundTo(t *testing.T, space, name string) string {
	t.Helper()
	claim, err := as(t, "").CoreV1().PersistentVolumeClaims(space).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil || claim.Status.Phase != corev1.ClaimBound {
		return ""
	}
	return claim.Spec.VolumeName
}

// K4: the spawner writes its records, and neither Jupyter's configuration nor the list of profiles.
func TestClusterSpawnerWritesRecordsOnly(t *testing.T) {
	ctx, maps := context.Background(), as(t, serviceAccount("perijove-spawner")).CoreV1().ConfigMaps(servers)
	for _, name := range []string{"perijove-jupyter", "perijove-profiles"} {
		m, err := maps.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m.Data["more"] = "x"
		if _, err := maps.Update(ctx, m, metav1.UpdateOptions{DryRun: dry.DryRun}); !apierrors.IsForbidden(err) {
			t.Errorf("update %s: %v", name, err)
		}
		if err := maps.Delete(ctx, name, metav1.DeleteOptions{DryRun: dry.DryRun}); !apierrors.IsForbidden(err) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	for name, allowed := range map[string]bool{unique(): false, "usage.user." + unique(): true} {
		_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, dry)
		if (err == nil) != allowed || err != nil && !apierrors.IsForbidden(err) {
			t.Errorf("create %s: %v", name, err)
		}
	}
}
