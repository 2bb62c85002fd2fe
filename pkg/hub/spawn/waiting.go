package spawn

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/pkg/server"
)

// poolPrefix begins the names of the pods of pools. No server's own name begins so (PodNames).
const poolPrefix = "pool-"

// keyInUse is how many characters of a pool's key are in the names of its pods.
const keyInUse = 10

// A Template is what the pods of a pool are made of: all that users of a profile have in common, and
// nobody's name.
type Template struct {
	// Key is a digest of all that a claimed pod cannot be changed in. A start takes a waiting pod of
	// the same key, and of no other.
	Key string
	// Prefix and a number make the name of a pod.
	Prefix string
	pod    *corev1.Pod
	proof  bool
}

// NewTemplate returns the template for servers of a profile.
func NewTemplate(site Site, p Profile) Template {
	bare := site
	bare.Proof = false // its Secret has the pod's name, see Pod
	pod := Pod(bare, Spec{ID: server.ID{User: "nobody"}, Profile: p})
	proof := site.Proof && p.Program == nil
	pod.ObjectMeta = metav1.ObjectMeta{
		Namespace: pod.Namespace,
		Labels: map[string]string{
			contract.LabelComponent:       contract.ComponentPool,
			"app.kubernetes.io/component": contract.ComponentPool,
			contract.LabelManagedBy:       contract.ManagedBySpawner,
			contract.LabelSize:            pod.Labels[contract.LabelSize],
		},
		Annotations: map[string]string{contract.AnnotationProfile: p.Slug},
	}
	// The age of a server is counted from the claim.
	pod.Spec.Hostname, pod.Spec.ActiveDeadlineSeconds = "jupyter", nil
	c := &pod.Spec.Containers[0]
	c.Command = []string{"python3", configPath + "/" + order.File, "--"}
	c.Args = literals(slices.Concat(p.Override.Cmd, p.Override.Args))
	c.Env = waitingEnvironment(p)
	for i, v := range pod.Spec.Volumes {
		if v.Name == volumeJupyter {
			v.ConfigMap.Items = append(v.ConfigMap.Items, corev1.KeyToPath{Key: order.File, Path: order.File})
		}
		if v.Name == volumeHome && p.Override.Persistent() {
			pod.Spec.Volumes[i].VolumeSource = corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: contract.DriverHomes}}
			// What the driver mounts there later appears in the container.
			c.VolumeMounts[slices.IndexFunc(c.VolumeMounts, isHomeMount)].MountPropagation = new(corev1.MountPropagationHostToContainer)
		}
	}
	t := Template{pod: pod, proof: proof}
	t.Key = t.digest(site.Revision)
	t.Prefix = poolPrefix + p.Slug + "-" + t.Key[:keyInUse] + "-"
	return t
}

func isHomeMount(m corev1.VolumeMount) bool { return m.Name == volumeHome }

// waitingEnvironment is what the imports of a waiting process see.
func waitingEnvironment(p Profile) (env []corev1.EnvVar) {
	for _, name := range sorted(p.Override.Environment) {
		env = append(env, corev1.EnvVar{Name: name, Value: literal(p.Override.Environment[name])})
	}
	return append(env, corev1.EnvVar{Name: envHome, Value: homePath}, corev1.EnvVar{Name: envConfigPath, Value: configPath})
}

// digest is the key. Values of variables are in it: the process has imported modules that read them.
func (t Template) digest(revision string) string {
	text, _ := json.Marshal(map[string]any{"pod": t.pod, "proof": t.proof, "revision": revision}) // an API object: it cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]) // a label holds 63 characters
}

// Pod returns one pod of the pool. nonce is random, of lower-case letters and digits, and different
// for every pod; try is how many pods failed in a row before it.
func (t Template) Pod(name, nonce string, try int) *corev1.Pod {
	pod := t.pod.DeepCopy()
	pod.Name = name
	pod.Labels[contract.LabelPool] = t.Key
	pod.Annotations[contract.AnnotationOrderNonce] = nonce
	if try > 0 {
		pod.Annotations[contract.AnnotationPoolTry] = strconv.Itoa(try)
	}
	secret := secretName(name, nonce)
	c := &pod.Spec.Containers[0]
	c.Env = append(c.Env, secretVariable(order.EnvKey, secret, secretOrder))
	if t.proof {
		promiseProof(pod, secret)
	}
	return pod
}

// Claimed returns what a waiting pod is changed to when it becomes the server of s, as a merge patch
// (RFC 7386). It is for this version of the pod only: of two starts the API refuses the second.
func Claimed(waiting *corev1.Pod, site Site, s Spec, now time.Time) map[string]any {
	cold := Pod(site, s)
	annotations := maps.Clone(cold.Annotations)
	annotations[contract.AnnotationClaimed] = now.UTC().Format(time.RFC3339Nano)
	annotations[contract.AnnotationOrder] = encodeOrder(site, s)
	if s.LateHome != "" {
		annotations[contract.AnnotationHome] = string(s.LateHome)
	}
	patch := map[string]any{"metadata": map[string]any{
		"uid": waiting.UID, "resourceVersion": waiting.ResourceVersion,
		"labels": cold.Labels, "annotations": annotations,
	}}
	if age := cold.Spec.ActiveDeadlineSeconds; age != nil && waiting.Status.StartTime != nil {
		waited := now.Sub(waiting.Status.StartTime.Time)
		patch["spec"] = map[string]any{"activeDeadlineSeconds": *age + int64(max(0, waited)/time.Second)}
	}
	return patch
}

// encodeOrder returns what the pod of a spec is told, without its secret.
func encodeOrder(site Site, s Spec) string {
	o := order.Order{Home: homePath, Env: map[string]string{}}
	if s.Profile.Override.Persistent() {
		o.Late = contract.EmptyHome
	}
	for _, v := range settings(site, s) {
		o.Env[v.name] = v.value
	}
	if site.Proof && s.Profile.Program == nil {
		o.Env[envProof] = proofPath
	}
	text, _ := json.Marshal(o) // texts: it cannot fail
	return string(text)
}

// OrderOf returns the order of a claimed pod, with its secret.
func (k Keys) OrderOf(pod *corev1.Pod) (order.Order, error) {
	var o order.Order
	if err := json.Unmarshal([]byte(pod.Annotations[contract.AnnotationOrder]), &o); err != nil || o.Env == nil {
		return order.Order{}, fmt.Errorf("pod %s has no order: %w", pod.Name, err)
	}
	o.Env[envSecret] = contract.ServerSecret(k.Server, pod.Namespace, pod.Name, pod.Annotations[contract.AnnotationNonce])
	return o, nil
}

// OrderKey returns the key with which the pod of a pool takes its order.
func (k Keys) OrderKey(pod *corev1.Pod) string {
	return contract.OrderKey(k.Server, pod.Namespace, pod.Name, pod.Annotations[contract.AnnotationOrderNonce])
}

// IsPooled reports whether a pod was made for a pool, claimed or not.
func IsPooled(pod *corev1.Pod) bool {
	return Managed(pod) && pod.Labels[contract.LabelPool] != "" && strings.HasPrefix(pod.Name, poolPrefix)
}

// PoolKey returns the key of the pool that a pod was made for.
func PoolKey(pod *corev1.Pod) string { return pod.Labels[contract.LabelPool] }

// ProfileOf returns the slug of the profile that a pod was made from.
func ProfileOf(pod *corev1.Pod) string { return pod.Annotations[contract.AnnotationProfile] }

// IsClaimed reports whether a pod of a pool is somebody's server.
func IsClaimed(pod *corev1.Pod) bool {
	_, ok := Identify(pod)
	return ok && IsPooled(pod)
}

// PoolPod returns what a pool is told of a pod. Arguments are those of StatusOf.
func PoolPod(pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) pool.Pod {
	try, _ := strconv.Atoi(pod.Annotations[contract.AnnotationPoolTry]) // 0 for what is no number
	p := pool.Pod{Name: pod.Name, Key: PoolKey(pod), State: pool.Making, Created: pod.CreationTimestamp.Time, Try: try}
	switch {
	case pod.DeletionTimestamp != nil:
		p.State = pool.Going
	case IsClaimed(pod):
		p.State = pool.Used
	case final(pod) || !IsFirstRun(pod):
		p.State = pool.Failed
	case isWaiting(pod):
		p.State = pool.Idle
	case StatusOf(pod, events, now, timeout).Phase == Failed:
		p.State = pool.Failed
	}
	return p
}

// PoolFailure returns the cluster's or the process's own words of a pool's pod that failed.
func PoolFailure(pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) string {
	if exit := lastExit(containerStatus(pod)); exit != nil {
		return strings.TrimSpace(fmt.Sprintf("its program ended with code %d: %s", exit.ExitCode, tail(exit.Message)))
	}
	step := StatusOf(pod, events, now, timeout).Now()
	return strings.TrimSpace(string(step.Message) + " " + step.Detail)
}

// DiedClaimed returns the server whose claimed pod ended before it answered once.
func DiedClaimed(pod *corev1.Pod) (server.ID, bool) {
	id, ok := Identify(pod)
	_, answered := condition(pod)
	ends := final(pod) || !IsFirstRun(pod) || containerStatus(pod).State.Terminated != nil
	return id, ok && IsPooled(pod) && !answered && ends && pod.DeletionTimestamp == nil
}

// isWaiting reports whether the container that runs now has been seen waiting.
func isWaiting(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == contract.ConditionWaiting && c.Status == corev1.ConditionTrue && c.Message == incarnation(pod)
	})
}

// WaitingCondition returns the condition of a pod that waits, to be written into its status.
func WaitingCondition(pod *corev1.Pod) corev1.PodCondition {
	return corev1.PodCondition{Type: contract.ConditionWaiting, Status: corev1.ConditionTrue, Reason: "Waiting", Message: incarnation(pod)}
}

// Began returns when a pod became its server's: when it was claimed, or else when it was made.
func Began(pod *corev1.Pod) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, pod.Annotations[contract.AnnotationClaimed]); err == nil && at.After(pod.CreationTimestamp.Time) {
		return at
	}
	return pod.CreationTimestamp.Time
}
