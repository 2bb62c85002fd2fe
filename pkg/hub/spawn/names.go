package spawn

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// KubeSpawner names its pods jupyter-<user> and its claims claim-<user>, and deletes what has
// such a name. Earlier versions of this platform used the same names; objects that they
// made are still found.
const (
	podPrefix    = "server-"
	oldPodPrefix = "jupyter-"

	homePrefix    = "home-"
	oldHomePrefix = "claim-"

	nonceInUse = 10 // characters of the nonce in the secret's name
)

// PodName is the fixed name of a server's pod.
func PodName(id server.ID) string { return podPrefix + server.Slug(id) }

// PodNames returns the names that a server's pod can have, PodName first.
func PodNames(id server.ID) []string { return []string{PodName(id), oldPodPrefix + server.Slug(id)} }

// HomeName is the fixed name of a user's home volume.
func HomeName(user string) string { return homeName(server.ID{User: user}) }

// homeName is the fixed name of a server's home volume; the default server has its user's.
func homeName(home server.ID) string { return homePrefix + server.Slug(home) }

// ClaimNames returns the names that the home volume of a server (Override.HomeOf) can have, the
// one for a new volume first.
func ClaimNames(home server.ID) []string {
	if home.Name == "" {
		return HomeNames(home.User)
	}
	return []string{homeName(home)}
}

// HomeNames returns the names that a user's home volume can have, HomeName first.
func HomeNames(user string) []string {
	return []string{HomeName(user), oldHomePrefix + server.UserSlug(user)}
}

// isHome reports whether a claim's name is one that homes have, ours or KubeSpawner's.
func isHome(claim string) bool {
	return strings.HasPrefix(claim, homePrefix) || strings.HasPrefix(claim, oldHomePrefix)
}

// secretName is the name of a pod's secret; nonce is of lower-case letters and digits.
func secretName(pod, nonce string) string { return pod + "-" + nonce[:min(nonceInUse, len(nonce))] }

// hostname is what the prompt of a terminal shows, cut to the length of a DNS label.
func hostname(id server.ID) string {
	const longest = 63 // RFC 1123 §2.1
	name := "jupyter-" + server.Slug(id)
	return strings.TrimRight(name[:min(longest, len(name))], "-")
}

// Managed reports whether the spawner made the object: no other is ever changed.
func Managed(o metav1.Object) bool {
	return o.GetLabels()[contract.LabelManagedBy] == contract.ManagedBySpawner
}

// OwnsPod reports whether the pod is ours and is the server id; a pod of that name that
// is not is another program's, and is left alone.
func OwnsPod(pod *corev1.Pod, id server.ID) bool {
	got, err := podmeta.ReadID(pod)
	return Managed(pod) && err == nil && got == id
}

// Identify returns which server a pod is; false for a pod that the spawner did not make,
// whatever its labels say.
func Identify(pod *corev1.Pod) (server.ID, bool) {
	id, err := podmeta.ReadID(pod)
	return id, err == nil && OwnsPod(pod, id) && (IsPooled(pod) || slices.Contains(PodNames(id), pod.Name))
}

// OwnsClaim is OwnsPod for the home volume of a server; a user's own has no server's name.
func OwnsClaim(claim *corev1.PersistentVolumeClaim, home server.ID) bool {
	got := server.ID{User: claim.Annotations[contract.LabelUsername], Name: claim.Annotations[contract.LabelServername]}
	return Managed(claim) && got == home
}

// BelongsTo reports whether a home volume is the user's or one of the user's servers'.
func BelongsTo(claim *corev1.PersistentVolumeClaim, user string) bool {
	return Managed(claim) && user != "" && claim.Annotations[contract.LabelUsername] == user
}

// HomesOf returns the names that the home volumes of a user can have: those of the user's own,
// and those in the user's record.
func HomesOf(user string, r quota.Record) []string {
	names := ClaimNames(server.ID{User: user})
	for _, name := range sorted(r.Volumes) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// identify adds the labels and annotations that say whose object this is. It is called
// last, over everything else, so that no other setting can take their place (K4).
func identify(meta *metav1.ObjectMeta, id server.ID) {
	labels, annotations := podmeta.Write(id)
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	maps.Copy(meta.Labels, labels)
	maps.Copy(meta.Annotations, annotations)
	meta.Labels[contract.LabelManagedBy] = contract.ManagedBySpawner
}
