package volumes

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func folders(t *testing.T) (Folders, string, *[]string) {
	t.Helper()
	path := t.TempDir()
	root, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	var owned []string
	return Folders{Root: root, Chown: func(_ *os.Root, name string) error {
		owned = append(owned, name)
		return nil
	}}, path, &owned
}

func options(name string) controller.ProvisionOptions {
	return controller.ProvisionOptions{
		PVName: name, StorageClass: &storagev1.StorageClass{},
		PVC: &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("3Gi")}},
		}},
	}
}

func TestProvision(t *testing.T) {
	f, path, owned := folders(t)
	volume, _, err := f.Provision(t.Context(), options("pvc-1"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(path, "pvc-1")
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o770 {
		t.Errorf("folder: %v %v", info, err)
	}
	if volume.Spec.Local.Path != folder || volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("volume: %+v", volume.Spec)
	}
	if size := volume.Spec.Capacity[corev1.ResourceStorage]; size.String() != "3Gi" {
		t.Errorf("size %s", size.String())
	}
	if where := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]; where.Operator != corev1.NodeSelectorOpExists || where.Key != corev1.LabelHostname {
		t.Errorf("a server on another node cannot have its home: %v", where)
	}
	if len(*owned) != 1 {
		t.Errorf("handed over: %v", *owned)
	}
	// A controller that crashed before it wrote the volume down provisions again.
	if err := os.WriteFile(filepath.Join(folder, "note"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Provision(t.Context(), options("pvc-1")); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "note")); err != nil {
		t.Errorf("provisioning again lost a file: %v", err)
	}
}

func TestProvisionRefuses(t *testing.T) {
	f, path, _ := folders(t)
	block, selector := options("a"), options("b")
	mode := corev1.PersistentVolumeBlock
	block.PVC.Spec.VolumeMode = &mode
	selector.PVC.Spec.Selector = &metav1.LabelSelector{}
	for name, options := range map[string]controller.ProvisionOptions{"block": block, "selector": selector, "name that leads out": options("../out")} {
		if _, _, err := f.Provision(t.Context(), options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("a refusal left %v %v", entries, err)
	}
	f.Chown = func(*os.Root, string) error { return errors.New("not permitted") }
	if _, _, err := f.Provision(t.Context(), options("c")); err == nil {
		t.Error("a folder that its user cannot write to was handed out")
	}
}

func TestDelete(t *testing.T) {
	f, path, _ := folders(t)
	volume, _, err := f.Provision(t.Context(), options("pvc-1"))
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A user's link must be removed as a link, not followed.
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(path, "pvc-1", "link")); err != nil {
		t.Fatal(err)
	}
	// A user with the right to edit volumes must not choose the folder that the provisioner removes: it is root.
	volume.Spec.Local.Path = filepath.Dir(outside)
	if err := f.Delete(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "pvc-1")); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
	}
	if err := f.Delete(t.Context(), volume); err != nil {
		t.Errorf("again: %v", err)
	}
	volume.Name = "../" + filepath.Base(filepath.Dir(outside))
	if err := f.Delete(t.Context(), volume); err == nil {
		t.Error("a name that leads out of the folder was accepted")
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file outside is gone: %v", err)
	}
	volume.Spec.Local = nil
	if err := f.Delete(t.Context(), volume); !errors.As(err, new(*controller.IgnoredError)) {
		t.Errorf("another's volume: %v", err)
	}
}
