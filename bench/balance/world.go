package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/shares"
	"github.com/perijove/perijove/test/apiserver"
)

const (
	// patience is the longest that the scheduler may think about pods.
	patience = time.Minute
	// homes is the claim of one volume that every node mounts, as the paper has it: NFS.
	homes = "homes"
	// grace is how long a node may tell nothing until Kubernetes takes it for lost, and lease four
	// times as long as a node takes to tell something. Defaults are 50s and 40s.
	grace = 20 * time.Second
	lease = 12 * time.Second
	// podsPerNode is a kubelet's default.
	podsPerNode = "110"
)

// world is a cluster whose nodes are simulated: the API, the scheduler and the controllers are
// Kubernetes' own.
type world struct {
	rig       *rig.Rig
	kube      *rig.Kube
	client    kubernetes.Interface
	namespace string
	nodes     shares.Nodes
	answers   *answers
}

// newWorld starts the cluster without a node and without a scheduler.
func newWorld(r *rig.Rig, namespace string) (*world, error) {
	kube, err := r.StartKube(nil)
	if err != nil {
		return nil, err
	}
	w := &world{rig: r, kube: kube, client: kube.Client, namespace: namespace, nodes: shares.Nodes{}}
	if err := r.StartControllers(kube, grace, "node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller", "persistentvolume-binder-controller"); err != nil {
		return nil, err
	}
	return w, r.StartKwok(kube, lease)
}

// prepare makes the servers' namespace with the volume of all homes, and follows what becomes of
// pods until ctx is done.
func (w *world) prepare(ctx context.Context) error {
	if _, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("namespace %s: %w", w.namespace, err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")}
	shared := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	_, err := w.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: homes},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: shared, ClaimRef: &corev1.ObjectReference{Namespace: w.namespace, Name: homes},
			PersistentVolumeSource: corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.test", Path: "/homes"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("volume of homes: %w", err)
	}
	_, err = w.client.CoreV1().PersistentVolumeClaims(w.namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: homes},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: shared, VolumeName: homes, StorageClassName: new(""), Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("claim of homes: %w", err)
	}
	w.answers, err = follow(ctx, w.client, w.namespace)
	return err
}

// addNode adds a node and returns when pods may come to it.
func (w *world) addNode(ctx context.Context, name string, cores, memory string) error {
	has := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cores), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods: resource.MustParse(podsPerNode), corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}},
		Status:     corev1.NodeStatus{Capacity: has, Allocatable: has},
	}
	if _, err := w.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make node %s: %w", name, err)
	}
	if err := w.untilNode(ctx, name, "it is ready", func(n *corev1.Node) bool { return len(n.Spec.Taints) == 0 }); err != nil {
		return err
	}
	return w.nodes.Add(name, shares.Amount{Cores: has.Cpu().AsApproximateFloat64(), Memory: has.Memory().AsApproximateFloat64()})
}

// heartbeats says since when each node is ready.
func (w *world) heartbeats(ctx context.Context) (map[string]time.Time, error) {
	list, err := w.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	since := map[string]time.Time{}
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				since[n.Name] = c.LastTransitionTime.Time
			}
		}
	}
	return since, nil
}

// untilNode waits for a node.
func (w *world) untilNode(ctx context.Context, name, what string, is func(*corev1.Node) bool) error {
	return until(ctx, "node "+name+": "+what, func(ctx context.Context) (bool, error) {
		n, err := w.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		return err == nil && is(n), err
	})
}

// change changes a node.
func (w *world) change(ctx context.Context, name string, do func(*corev1.Node)) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		n, err := w.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		do(n)
		_, err = w.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("change node %s: %w", name, err)
	}
	return nil
}

// cordon closes a node, as kubectl cordon does.
func (w *world) cordon(ctx context.Context, name string) error {
	w.nodes[name].Closed = true
	if err := w.change(ctx, name, func(n *corev1.Node) { n.Spec.Unschedulable = true }); err != nil {
		return err
	}
	return w.tainted(ctx, name, corev1.TaintNodeUnschedulable)
}

// vanish makes a node tell nothing more, as a power cut does.
func (w *world) vanish(ctx context.Context, name string) error {
	w.nodes[name].Closed = true
	return w.change(ctx, name, func(n *corev1.Node) { n.Labels[apiserver.LabelVanished] = "true" })
}

// tainted waits until Kubernetes has said so of a node.
func (w *world) tainted(ctx context.Context, name, key string) error {
	return w.untilNode(ctx, name, "it is tainted "+key, func(n *corev1.Node) bool {
		for _, t := range n.Spec.Taints {
			if t.Key == key {
				return true
			}
		}
		return false
	})
}

// place makes pods at one time and returns what the scheduler says of each, in the order in which it
// was seen.
func (w *world) place(ctx context.Context, pods []*corev1.Pod) (all []answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	made, making := errgroup.WithContext(ctx)
	waiting := map[string]bool{}
	for _, pod := range pods {
		waiting[pod.Name] = true
		made.Go(func() error {
			_, err := w.client.CoreV1().Pods(w.namespace).Create(making, pod, metav1.CreateOptions{})
			return err
		})
	}
	if err := made.Wait(); err != nil {
		return nil, fmt.Errorf("make pods: %w", err)
	}
	for {
		for _, a := range w.answers.take() {
			if err := w.put(a.pod); err != nil {
				return nil, err
			}
			if waiting[a.pod.Name] {
				delete(waiting, a.pod.Name)
				all = append(all, a)
			}
		}
		if len(waiting) == 0 {
			return all, nil
		}
		select {
		case <-w.answers.news:
		case <-ctx.Done():
			return nil, fmt.Errorf("the scheduler has said nothing of %d pods: %w", len(waiting), ctx.Err())
		}
	}
}

// put counts a pod on its node, if it has one.
func (w *world) put(pod *corev1.Pod) error {
	if pod.Spec.NodeName == "" {
		return nil
	}
	return w.nodes.Place(pod.Spec.NodeName, shares.Requests(pod))
}

// clear removes all pods and nodes.
func (w *world) clear(ctx context.Context) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
	if err := errors.Join(
		w.client.CoreV1().Pods(w.namespace).DeleteCollection(ctx, now, metav1.ListOptions{}),
		w.client.CoreV1().Nodes().DeleteCollection(ctx, now, metav1.ListOptions{}),
	); err != nil {
		return fmt.Errorf("remove pods and nodes: %w", err)
	}
	w.nodes = shares.Nodes{}
	return until(ctx, "all pods and nodes are gone", func(ctx context.Context) (bool, error) {
		nodes, err := w.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil && len(nodes.Items) == 0 && w.answers.empty(), err
	})
}
