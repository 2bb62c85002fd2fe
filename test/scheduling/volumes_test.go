package scheduling

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/test/wait"
)

// poll waits for what the scheduler does.
func poll(ok func() bool) bool { return wait.Poll(20*time.Second, ok) }

// undoing is for what happens after a test, whose own context is over by then.
var undoing = context.Background()

func (w *world) undo(how func() error) { w.t.Cleanup(func() { _ = how() }) }

// volume makes a volume and a claim that is bound to it, after a change. Nobody attaches it. One pod may
// have it at a time, as the most careful homes have it.
func (w *world) volume(name string, change func(*corev1.PersistentVolume)) {
	w.t.Helper()
	name = w.label + "-" + name
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: w.Namespace, Name: name},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "plain.csi.test", VolumeHandle: name}},
		},
	}
	if change != nil {
		change(volume)
	}
	volumes, claims := w.client.CoreV1().PersistentVolumes(), w.client.CoreV1().PersistentVolumeClaims(w.Namespace)
	if _, err := volumes.Create(w.t.Context(), volume, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.undo(func() error { return volumes.Delete(undoing, name, metav1.DeleteOptions{}) })
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/bind-completed": "yes"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(""), VolumeName: name, AccessModes: modes, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	made, err := claims.Create(w.t.Context(), claim, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.undo(func() error { return claims.Delete(undoing, name, metav1.DeleteOptions{}) })
	made.Status.Phase = corev1.ClaimBound
	if _, err := claims.UpdateStatus(w.t.Context(), made, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// zone is a volume in a zone as old provisioners say it, by a label.
func zone(name string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Labels[corev1.LabelTopologyZone] = name }
}

// only is a volume in a zone as CSI provisioners say it.
func only(name string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}},
		}}}}
	}
}

// of is a volume of a driver.
func of(driver string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Spec.CSI.Driver = driver }
}

func mount(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "data", VolumeSource: source})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
	}
}

func (w *world) mountClaim(name string) func(*corev1.Pod) {
	return mount(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: w.label + "-" + name}})
}

// disk is a disk that one node may have at a time, in the pod itself.
func disk(name string) corev1.VolumeSource {
	return corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: name}}
}
