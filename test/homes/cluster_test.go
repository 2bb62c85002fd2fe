package homes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/homes/mount"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

const (
	release = "perijove"
	servers = "perijove-servers"
	drivers = "perijove-homes"
	patient = 2 * time.Minute // a kubelet that failed waits before it tries again
)

// env is the cluster with the driver on it.
type env struct {
	t       *testing.T
	admin   kubernetes.Interface
	spawner kubernetes.Interface // the spawner's account, which alone may claim a pod
	node    layout.Node
	image   string
}

// start returns the cluster of `make up`, with the driver on its first node.
func start(t *testing.T) *env { return startOn(t, 1) }

// startOn returns it with the driver on a node. Other clusters than onenode are left alone: nobody cuts their power.
func startOn(t *testing.T, number int) *env {
	t.Helper()
	e := &env{t: t, node: layout.Layout{State: layout.DefaultState}.Node(number)}
	if at := os.Getenv("KUBECONFIG"); at != e.node.Layout.Kubeconfig() {
		t.Skipf("KUBECONFIG is %q and not the cluster that `make up` starts on this machine", at)
	}
	e.admin, e.spawner = client(t, ""), client(t, "system:serviceaccount:"+release+":"+release+"-spawner")
	return e
}

// ready waits for the driver, and finds an image that is there.
func (e *env) ready() {
	e.t.Helper()
	directory, err := e.admin.AppsV1().Deployments(release).List(e.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=directory"})
	if err != nil || len(directory.Items) != 1 {
		e.t.Fatalf("the directory, whose image has a shell: %v", err)
	}
	e.image = directory.Items[0].Spec.Template.Spec.Containers[0].Image
	e.driverKnown()
}

func client(t *testing.T, as string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.Impersonate.UserName, config.QPS = as, -1
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// driverKnown waits until the kubelet knows the driver.
func (e *env) driverKnown() {
	e.t.Helper()
	wait.Within(e.t, patient, "the kubelet knows the driver", func() bool {
		node, err := e.admin.StorageV1().CSINodes().Get(e.t.Context(), e.node.Name(), metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(node.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == plan.Driver })
	})
}

// home makes a user's home and returns its claim's UID and its folder on this machine.
func (e *env) home(user string, mode corev1.PersistentVolumeAccessMode) (uid types.UID, folder string) {
	e.t.Helper()
	claims, class := e.admin.CoreV1().PersistentVolumeClaims(servers), "shared"
	name := "home-" + user
	// The test before may have deleted one of this name: it goes when the spawner has seen that no pod has it.
	wait.Within(e.t, patient, "no older "+name+" is left", func() bool {
		_, err := claims.Get(e.t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	_, err := claims.Create(e.t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelUsername: user},
			Annotations: map[string]string{contract.LabelUsername: user},
			Finalizers:  []string{contract.FinalizerHome},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode}, StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = claims.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	wait.Within(e.t, patient, name+" is bound", func() bool {
		claim, err := claims.Get(e.t.Context(), name, metav1.GetOptions{})
		if err == nil && claim.Status.Phase == corev1.ClaimBound {
			uid, folder = claim.UID, filepath.Join(e.node.Layout.Volumes(), claim.Spec.VolumeName)
		}
		return folder != ""
	})
	return uid, folder
}

// smallHome is home with the one file that hasHome looks for, for several pods at one time.
func (e *env) smallHome(user string) (uid types.UID, folder string) {
	e.t.Helper()
	uid, folder = e.home(user, corev1.ReadWriteMany)
	e.must(os.MkdirAll(filepath.Join(folder, "0"), 0o755))
	e.must(os.WriteFile(filepath.Join(folder, "0", "0"), []byte("file 0"), 0o644))
	return uid, folder
}

// ordered runs a pod and orders a home for it, as the spawner does.
func (e *env) ordered(user, name string, home types.UID) *corev1.Pod {
	e.t.Helper()
	pod := e.run(user, name)
	e.runs(pod)
	e.must(claim(e.t.Context(), e.spawner, pod, home))
	return pod
}

// letGo takes the finalizers of a user's home away, as an administrator can who wants to be rid of it.
func (e *env) letGo(user string) {
	e.t.Helper()
	_, err := e.admin.CoreV1().PersistentVolumeClaims(servers).Patch(e.t.Context(), "home-"+user, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	e.must(err)
}

// run starts a pod with a late home, made as a pool would.
func (e *env) run(user, name string) *corev1.Pod {
	e.t.Helper()
	return e.make(user, name, func(*corev1.Pod) {})
}

// make is run with a change.
func (e *env) make(user, name string, change func(*corev1.Pod)) *corev1.Pod {
	e.t.Helper()
	pod, err := e.admin.CoreV1().Pods(servers).Create(e.t.Context(), e.pod(user, name, change), metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = e.end(pod, 0) })
	return pod
}

func (e *env) pod(user, name string, change func(*corev1.Pod)) *corev1.Pod {
	host, no, yes, uid := corev1.MountPropagationHostToContainer, false, true, int64(1000)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "server-" + user + "--" + name,
			Labels:      map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelUsername: user, contract.LabelServername: name},
			Annotations: map[string]string{contract.LabelUsername: user, contract.LabelServername: name},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no, TerminationGracePeriodSeconds: new(int64), NodeName: e.node.Name(),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &uid, RunAsGroup: &uid, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes:         []corev1.Volume{{Name: "home", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: plan.Driver}}}},
			Containers: []corev1.Container{{
				Name: "server", Image: e.image, Command: []string{"/bin/sh", "-c", "while :; do sleep 1; done"},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				VolumeMounts:    []corev1.VolumeMount{{Name: "home", MountPath: "/home/jovyan", MountPropagation: &host}},
			}},
		},
	}
	change(pod)
	return pod
}

// runs waits until a pod runs.
func (e *env) runs(pod *corev1.Pod) {
	e.t.Helper()
	wait.Within(e.t, patient, pod.Name+" runs", func() bool {
		now, err := e.admin.CoreV1().Pods(servers).Get(e.t.Context(), pod.Name, metav1.GetOptions{})
		return err == nil && len(now.Status.ContainerStatuses) == 1 && now.Status.ContainerStatuses[0].State.Running != nil
	})
}

// claim gives a pod a home, as account c.
func claim(ctx context.Context, c kubernetes.Interface, pod *corev1.Pod, home types.UID) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, contract.AnnotationHome, home)
	_, err := c.CoreV1().Pods(servers).Patch(ctx, pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// says waits until a shell's words in a pod print what is wanted. kubectl can lose an answer of a busy API server, so one that
// differs is no proof.
func (e *env) says(pod *corev1.Pod, words, want string) {
	e.t.Helper()
	wait.Within(e.t, patient, fmt.Sprintf("%q says %q in %s", words, want, pod.Name), func() bool {
		out, err := exec.Command(kubectl.Path(), "--namespace", servers, "exec", pod.Name, "--", "/bin/sh", "-c", words).Output()
		return err == nil && strings.TrimSpace(string(out)) == want
	})
}

// mounted waits until a home lies over a pod's empty folder.
func (e *env) mounted(pod *corev1.Pod) {
	e.t.Helper()
	folder := plan.Target{Pod: pod.UID, Volume: "home"}.Path(e.node.KubeletRoot())
	wait.Within(e.t, patient, pod.Name+" has a home mounted", func() bool {
		mounts, err := mount.Mounts()
		e.must(err)
		return plan.State{Mounts: plan.At(mounts, folder)}.Bound()
	})
}

// hasHome waits until a pod sees the first of the files.
func (e *env) hasHome(pod *corev1.Pod) {
	e.t.Helper()
	e.says(pod, "cat /home/jovyan/0/0", "file 0")
}

// end deletes a pod; seconds 0 is by force.
func (e *env) end(pod *corev1.Pod, seconds int64) error {
	err := e.admin.CoreV1().Pods(servers).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &seconds, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// gone waits until nothing of a pod is left: neither the object nor the kubelet's folder.
func (e *env) gone(pod *corev1.Pod) {
	e.t.Helper()
	wait.Within(e.t, patient, pod.Name+" and its folders are gone", func() bool {
		_, err := e.admin.CoreV1().Pods(servers).Get(e.t.Context(), pod.Name, metav1.GetOptions{})
		_, there := os.Stat(filepath.Join(e.node.KubeletRoot(), "pods", string(pod.UID)))
		return apierrors.IsNotFound(err) && os.IsNotExist(there)
	})
}
