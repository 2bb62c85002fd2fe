package plan

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
)

var exports = []Export{{Name: "local", Path: "/srv/homes"}, {Name: "nfs", Server: "nfs.test", Path: "/export"}}

func claimedPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "servers", Name: "server-alice", UID: some,
			Labels:      map[string]string{contract.LabelUsername: "alice", contract.LabelManagedBy: contract.ManagedBySpawner},
			Annotations: map[string]string{contract.LabelUsername: "alice", contract.AnnotationHome: "claim-uid"},
		},
	}
}

func homeOf(user string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "servers", Name: "home-" + user, UID: "claim-uid",
			Labels:      map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner},
			Annotations: map[string]string{contract.LabelUsername: user},
			Finalizers:  []string{"kubernetes.io/pvc-protection", contract.FinalizerHome},
		},
		Spec:   corev1.PersistentVolumeClaimSpec{VolumeName: "pv", AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

func volume(source corev1.PersistentVolumeSource) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv"},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeSource: source, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			ClaimRef: &corev1.ObjectReference{Namespace: "servers", Name: "home-alice", UID: "claim-uid"},
		},
	}
}

func local(path string) corev1.PersistentVolumeSource {
	return corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}}
}

// K1, K4: an order is good for the owner's home only. It is copied onto a neighbour's pod, names another's claim, a data
// set or another namespace's claim, or is for a pod that has ended.
func TestK1_OnlyTheOwnersHome(t *testing.T) {
	t.Parallel()
	type claim = corev1.PersistentVolumeClaim
	for name, c := range map[string]struct {
		change func(*corev1.Pod, *claim)
		want   string // in the refusal
	}{
		"good":               {func(*corev1.Pod, *claim) {}, ""},
		"good, named server": {func(p *corev1.Pod, _ *claim) { p.Annotations[contract.LabelServername] = "lab" }, ""},
		"good, a server's own home": {func(p *corev1.Pod, c *claim) {
			p.Annotations[contract.LabelServername], c.Annotations[contract.LabelServername] = "lab", "lab"
		}, ""},
		"another server's own home": {func(_ *corev1.Pod, c *claim) { c.Annotations[contract.LabelServername] = "lab" }, "another owner's"},
		"a neighbour's pod": {func(p *corev1.Pod, _ *claim) {
			p.Annotations[contract.LabelUsername], p.Labels[contract.LabelUsername] = "bob", "bob"
		}, "another owner's"},
		"a pod with the owner's label only": {func(p *corev1.Pod, _ *claim) { p.Annotations[contract.LabelUsername] = "bob" }, "another owner's"},
		"a pod of nobody":                   {func(p *corev1.Pod, _ *claim) { delete(p.Labels, contract.LabelUsername) }, "whose pod"},
		"a pod that is not the spawner's":   {func(p *corev1.Pod, _ *claim) { delete(p.Labels, contract.LabelManagedBy) }, "did not make the pod"},
		"a claim of another namespace":      {func(_ *corev1.Pod, c *claim) { c.Namespace = "other" }, "no such claim"},
		"a claim made anew":                 {func(_ *corev1.Pod, c *claim) { c.UID = "new-uid" }, "no such claim"},
		"an empty order":                    {func(p *corev1.Pod, _ *claim) { p.Annotations[contract.AnnotationHome] = "" }, "no such claim"},
		"a path as an order":                {func(p *corev1.Pod, _ *claim) { p.Annotations[contract.AnnotationHome] = "../../etc" }, "no such claim"},
		"a data set":                        {func(_ *corev1.Pod, c *claim) { delete(c.Labels, contract.LabelManagedBy) }, "is no home"},
		"a claim of nobody":                 {func(_ *corev1.Pod, c *claim) { delete(c.Annotations, contract.LabelUsername) }, "another owner's"},
		"a claim that is not held":          {func(_ *corev1.Pod, c *claim) { c.Finalizers = c.Finalizers[:1] }, "is not held"},
		"a claim that is deleted":           {func(_ *corev1.Pod, c *claim) { c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, "being deleted"},
		"a claim whose volume is gone":      {func(_ *corev1.Pod, c *claim) { c.Status.Phase = corev1.ClaimLost }, "has no volume"},
		"a claim for one node":              {func(_ *corev1.Pod, c *claim) { c.Spec.AccessModes[0] = corev1.ReadWriteOnce }, "cannot come late"},
		"a disk": {func(_ *corev1.Pod, c *claim) {
			block := corev1.PersistentVolumeBlock
			c.Spec.VolumeMode = &block
		}, "cannot come late"},
		"a pod that is deleted": {func(p *corev1.Pod, _ *claim) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, "has ended"},
		"a pod that has failed": {func(p *corev1.Pod, _ *claim) { p.Status.Phase = corev1.PodFailed }, "has ended"},
	} {
		pod, claim := claimedPod(), homeOf("alice")
		c.change(pod, &claim)
		got, err := Mine(pod, []corev1.PersistentVolumeClaim{homeOfOther(), claim})
		if c.want == "" && (err != nil || got.Name != "home-alice") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v %v, want %q", name, got, err, c.want)
		}
	}
}

func homeOfOther() corev1.PersistentVolumeClaim {
	c := homeOf("alice")
	c.UID, c.Name = "other-uid", "home-alice--lab"
	return c
}

func TestLocate(t *testing.T) {
	t.Parallel()
	nfs := func(attributes map[string]string) corev1.PersistentVolumeSource {
		return corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: nfsDriver, VolumeAttributes: attributes}}
	}
	for name, c := range map[string]struct {
		source corev1.PersistentVolumeSource
		want   Place
	}{
		"local":            {local("/srv/homes/pvc-1"), Place{"local", "pvc-1"}},
		"deeper":           {local("/srv/homes/a/pvc-1"), Place{"local", "a/pvc-1"}},
		"host path":        {corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv/homes/x"}}, Place{"local", "x"}},
		"NFS":              {corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.test", Path: "/export/a"}}, Place{"nfs", "a"}},
		"NFS's CSI driver": {nfs(map[string]string{"server": "nfs.test", "share": "/export", "subdir": "pvc-2"}), Place{"nfs", "pvc-2"}},
		"its share alone":  {nfs(map[string]string{"server": "nfs.test", "share": "/export/pvc-2/"}), Place{"nfs", "pvc-2"}},
		// Refused: Place{} with an error.
		"the export itself":        {local("/srv/homes"), Place{}},
		"and with a slash":         {local("/srv/homes/"), Place{}},
		"another folder":           {local("/etc"), Place{}},
		"a folder of such a name":  {local("/srv/homes-2/a"), Place{}},
		"out of the export":        {local("/srv/homes/../../etc"), Place{}},
		"with a dot":               {local("/srv/homes/./a"), Place{}},
		"with two slashes":         {local("/srv/homes//a"), Place{}},
		"another server":           {corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "evil.test", Path: "/export/a"}}, Place{}},
		"a server's folder here":   {corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.test", Path: "/srv/homes/a"}}, Place{}},
		"a folder here on NFS":     {local("/export/a"), Place{}},
		"no server":                {nfs(map[string]string{"share": "/srv/homes", "subdir": "a"}), Place{}},
		"a subfolder with dots":    {nfs(map[string]string{"server": "nfs.test", "share": "/export", "subdir": "../etc"}), Place{}},
		"read-only":                {corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.test", Path: "/export/a", ReadOnly: true}}, Place{}},
		"another driver's":         {corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "x", VolumeAttributes: map[string]string{"server": "nfs.test", "share": "/export/a"}}}, Place{}},
		"no source that one knows": {corev1.PersistentVolumeSource{}, Place{}},
	} {
		claim := homeOf("alice")
		got, err := Locate(&claim, volume(c.source), exports)
		if got != c.want || (err == nil) != (c.want != Place{}) || err != nil && !errors.Is(err, ErrCold) {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
}

// A volume that was another claim's, or is, has the files of another person.
func TestK1_VolumeAndClaimNameEachOther(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.PersistentVolume){
		"another claim's":         func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "other" },
		"a claim's of other name": func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.Name = "home-bob" },
		"another namespace's":     func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.Namespace = "other" },
		"no claim's":              func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil },
		"another volume":          func(v *corev1.PersistentVolume) { v.Name = "pv-2" },
		"for one node":            func(v *corev1.PersistentVolume) { v.Spec.AccessModes[0] = corev1.ReadWriteOnce },
	} {
		claim, v := homeOf("alice"), volume(local("/srv/homes/a"))
		change(v)
		if got, err := Locate(&claim, v, exports); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	csi := func(name, driver string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver}}}
	}
	pod := claimedPod()
	pod.Spec.Volumes = []corev1.Volume{{Name: "tmp"}, csi("home", Driver), csi("other", "x")}
	if got := Volumes(pod); len(got) != 1 || got[0] != "home" || Claimed(pod) != "claim-uid" {
		t.Errorf("%v %q", got, Claimed(pod))
	}
}
