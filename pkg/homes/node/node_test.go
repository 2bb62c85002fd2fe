package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/homes/claims"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/test/mountns"
)

// The tests mount for real.
func TestMain(m *testing.M) { os.Exit(mountns.Main(m.Run)) }

const uid = types.UID("0f6e3a52-5b5c-4a2b-9a53-2f3d1c0b9a11")

// machine is a plugin on a node with alice's waiting pod, and her home with a note in it.
type machine struct {
	*Plugin
	t      *testing.T
	client *fake.Clientset
	target string
	home   string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	root := t.TempDir()
	m := &machine{t: t, home: filepath.Join(root, "exports", "local", "pv-1")}
	owner := map[string]string{contract.LabelUsername: "alice"}
	labels := map[string]string{contract.LabelUsername: "alice", contract.LabelManagedBy: contract.ManagedBySpawner}
	rwx := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	m.client = fake.NewClientset(
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: "server-alice", UID: uid, Labels: labels, Annotations: map[string]string{contract.LabelUsername: "alice"}},
			Spec:       corev1.PodSpec{NodeName: "n1", Volumes: []corev1.Volume{{Name: "home", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: plan.Driver}}}}},
		},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: "home-alice", UID: "claim-uid", Labels: labels, Annotations: owner, Finalizers: []string{contract.FinalizerHome}},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-1", AccessModes: rwx},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pv-1"},
			Spec: corev1.PersistentVolumeSpec{
				AccessModes: rwx, ClaimRef: &corev1.ObjectReference{Namespace: "servers", Name: "home-alice", UID: "claim-uid"},
				PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/srv/homes/pv-1"}},
			},
		},
	)
	m.Plugin = &Plugin{
		Kubelet: filepath.Join(root, "kubelet"), Exports: filepath.Join(root, "exports"), Log: slog.New(slog.DiscardHandler),
		Claims: claims.Claims{Client: m.client, Namespace: "servers", Node: "n1", Exports: []plan.Export{{Name: "local", Path: "/srv/homes"}}},
	}
	m.target = plan.Target{Pod: uid, Volume: "home"}.Path(m.Kubelet)
	m.must(os.MkdirAll(m.home, 0o755))
	m.must(os.WriteFile(filepath.Join(m.home, "note"), []byte("mine"), 0o644))
	m.must(os.MkdirAll(filepath.Dir(m.target), 0o755)) // by the kubelet
	m.must(mountns.Share(m.Kubelet))
	t.Cleanup(func() { _ = unix.Unmount(m.Kubelet, unix.MNT_DETACH) })
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) request() *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: "csi-x", TargetPath: m.target,
		VolumeCapability: &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}}},
		VolumeContext:    map[string]string{podName: "server-alice", podNamespace: "servers", podUID: string(uid), ephemeral: "true", podInfo + "serviceAccount.name": "default"},
	}
}

func (m *machine) publish() error {
	_, err := m.NodePublishVolume(m.t.Context(), m.request())
	return err
}

func (m *machine) unpublish() error {
	_, err := m.NodeUnpublishVolume(m.t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: "csi-x", TargetPath: m.target})
	return err
}

// claim is what the spawner does; it returns the pod as it is then.
func (m *machine) claim(home string) *corev1.Pod {
	m.t.Helper()
	pods := m.client.CoreV1().Pods("servers")
	pod, err := pods.Get(m.t.Context(), "server-alice", metav1.GetOptions{})
	m.must(err)
	pod.Annotations[contract.AnnotationHome] = home
	pod, err = pods.Update(m.t.Context(), pod, metav1.UpdateOptions{})
	m.must(err)
	return pod
}

// sees returns what the pod reads.
func (m *machine) sees() string {
	text, err := os.ReadFile(filepath.Join(m.target, "note"))
	if err != nil {
		return ""
	}
	return string(text)
}

func TestHomeComesLate(t *testing.T) {
	m := newMachine(t)
	m.must(m.publish())
	m.must(m.publish())
	if m.sees() != "" {
		t.Error("an unclaimed pod has a home")
	}
	pod := m.claim("claim-uid")
	m.must(m.Give(t.Context(), pod))
	m.must(m.Give(t.Context(), pod))
	m.must(m.publish()) // a kubelet that started anew asks again
	if m.sees() != "mine" {
		t.Error("the claimed pod has no home")
	}
	m.must(m.unpublish())
	m.must(m.unpublish())
	if _, err := os.Stat(m.target); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(m.home, "note")); err != nil || string(text) != "mine" {
		t.Errorf("the home: %q %v", text, err)
	}
	// An order that comes after the pod's end makes no folder.
	m.must(m.Give(t.Context(), pod))
	if _, err := os.Stat(m.target); !os.IsNotExist(err) {
		t.Errorf("a late order made a folder: %v", err)
	}
	// The machine starts anew: the pod was claimed already, and begins with its home.
	m.must(m.publish())
	if m.sees() != "mine" {
		t.Error("after a restart the pod has no home")
	}
}

// A pod that is published while its home is not there does not begin with an empty one.
func TestClaimedPodWaitsForItsHome(t *testing.T) {
	m := newMachine(t)
	m.claim("claim-uid")
	m.must(os.Rename(m.home, m.home+"-away"))
	if err := m.publish(); status.Code(err) != codes.Internal {
		t.Errorf("published without a home: %v", err)
	}
	m.must(os.Rename(m.home+"-away", m.home))
	m.must(m.publish())
	if m.sees() != "mine" {
		t.Error("the pod has no home")
	}
}

// K4: a pod's words order nothing, and nothing but a pod's own folder is touched.
func TestK4_PodsOrderNothing(t *testing.T) {
	m := newMachine(t)
	m.claim("claim-uid")
	other := strings.Replace(m.target, string(uid), "11111111-5b5c-4a2b-9a53-2f3d1c0b9a11", 1)
	for name, change := range map[string]func(*csi.NodePublishVolumeRequest){
		"an attribute":           func(r *csi.NodePublishVolumeRequest) { r.VolumeContext["folder"] = "/etc" },
		"a Secret":               func(r *csi.NodePublishVolumeRequest) { r.Secrets = map[string]string{"a": "b"} },
		"read-only":              func(r *csi.NodePublishVolumeRequest) { r.Readonly = true },
		"a disk":                 func(r *csi.NodePublishVolumeRequest) { r.VolumeCapability = &csi.VolumeCapability{} },
		"a volume of a claim":    func(r *csi.NodePublishVolumeRequest) { delete(r.VolumeContext, ephemeral) },
		"another pod's folder":   func(r *csi.NodePublishVolumeRequest) { r.TargetPath = other },
		"another namespace":      func(r *csi.NodePublishVolumeRequest) { r.VolumeContext[podNamespace] = "kube-system" },
		"the machine's folder":   func(r *csi.NodePublishVolumeRequest) { r.TargetPath = "/etc" },
		"the home as the target": func(r *csi.NodePublishVolumeRequest) { r.TargetPath = m.home },
	} {
		r := m.request()
		change(r)
		if _, err := m.NodePublishVolume(t.Context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, pod := range map[string]string{"a pod that is not there": "server-bob", "no name": ""} {
		r := m.request()
		r.VolumeContext[podName] = pod
		if _, err := m.NodePublishVolume(t.Context(), r); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, folder := range []string{"/etc", m.home, m.Kubelet, ""} {
		if _, err := m.NodeUnpublishVolume(t.Context(), &csi.NodeUnpublishVolumeRequest{TargetPath: folder}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("unpublish %q: %v", folder, err)
		}
	}
	if _, err := os.Stat(m.target); !os.IsNotExist(err) {
		t.Errorf("a refused request made a folder: %v", err)
	}
	m.must(m.publish()) // the control
}

// K1: an order for a claim that is not the owner's mounts nothing, and a pod that has a home gets no other.
func TestK1_OrdersForOtherHomes(t *testing.T) {
	m := newMachine(t)
	m.must(m.publish())
	for _, home := range []string{"other-uid", "../../etc", "home-alice"} {
		if err := m.Give(t.Context(), m.claim(home)); err == nil || m.sees() != "" {
			t.Errorf("%s: %v", home, err)
		}
	}
	m.must(m.Give(t.Context(), m.claim("claim-uid")))
	m.must(os.Rename(m.home, m.home+"-old"))
	m.must(os.Mkdir(m.home, 0o755))
	if err := m.Give(t.Context(), m.claim("claim-uid")); err == nil || m.sees() != "mine" {
		t.Errorf("another home in the place of the first: %v, %q", err, m.sees())
	}
}

// The kubelet hears of the home's file system, and of no other folder's.
func TestHowFullHomesAre(t *testing.T) {
	m := newMachine(t)
	ask := func(folder string) (*csi.NodeGetVolumeStatsResponse, error) {
		return m.NodeGetVolumeStats(t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: "v", VolumePath: folder})
	}
	for folder, want := range map[string]codes.Code{m.target: codes.NotFound, "/etc": codes.InvalidArgument, m.home: codes.InvalidArgument} {
		if _, err := ask(folder); status.Code(err) != want {
			t.Errorf("%s: %v", folder, err)
		}
	}
	m.must(m.publish())
	empty, err := ask(m.target)
	if err != nil || empty.GetUsage()[0].GetTotal() > 1<<20 {
		t.Errorf("before the claim: %v %v", empty, err)
	}
	m.must(m.Give(t.Context(), m.claim("claim-uid")))
	var disk unix.Statfs_t
	m.must(unix.Statfs(m.home, &disk))
	full, err := ask(m.target)
	if err != nil || full.GetUsage()[0].GetTotal() != int64(disk.Blocks)*disk.Bsize || full.GetUsage()[0].GetAvailable() > full.GetUsage()[0].GetTotal() || full.GetUsage()[1].GetUnit() != csi.VolumeUsage_INODES {
		t.Errorf("with the home: %v %v", full, err)
	}
	target, err := plan.ParseTarget(m.Kubelet, m.target)
	m.must(err)
	m.asking.Store(target, nil) // a question that its file server does not answer
	if _, err := ask(m.target); status.Code(err) != codes.Unavailable {
		t.Errorf("asked a file server twice: %v", err)
	}
	m.must(m.unpublish()) // and the pod can end
}
