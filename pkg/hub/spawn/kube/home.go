package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// enlargeTries bounds how often a start asks for a larger home that another start changes meanwhile.
const enlargeTries = 3

// ensureHome makes the home volume of a server exist, as large as its profile wants, and returns
// its claim's name, "" for a profile whose homes are no volumes of their own. small says that it
// could not be enlarged; the server starts all the same.
func (c *Cluster) ensureHome(ctx context.Context, spec spawn.Spec) (name string, small *spawn.Small, err error) {
	if !spec.Profile.Override.HasVolume() {
		return "", nil, nil
	}
	want, home := spawn.Claim(c.Site, spec.Profile, spec.ID), spec.Profile.Override.HomeOf(spec.ID)
	claims := c.writes.CoreV1().PersistentVolumeClaims(want.Namespace)
	if have := c.knownHome(want.Namespace, home); have != nil {
		if spec.Small != nil { // a quota does not let it grow
			return have.Name, spec.Small, nil
		}
		if small = c.enlarge(ctx, claims, have, want); small != nil {
			c.correct(ctx, spec, want.Name, have.Spec.Resources.Requests.Storage().Value())
		}
		return have.Name, small, nil
	}
	have, err := claims.Create(ctx, want, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", nil, problem("create home volume", err)
	}
	if err != nil { // another start created it just now
		if have, err = findHome(ctx, claims, home); err != nil {
			return "", nil, err
		}
	}
	if have == nil {
		return "", nil, &spawn.Problem{Message: spawn.MsgUnavailable, Err: fmt.Errorf("volume claim %s was deleted while it was being created", want.Name)}
	}
	return have.Name, nil, nil
}

// knownHome returns the claim of a home as the cache knows it, nil when there is none that stays.
// Looking before one is created is necessary: with the storage quota used up, creating is refused
// even if the volume is there, and a volume may have the name that earlier versions gave it. Asking
// the API instead would be two of a start's calls.
func (c *Cluster) knownHome(namespace string, home server.ID) *corev1.PersistentVolumeClaim {
	for _, name := range spawn.ClaimNames(home) {
		o, ok, err := c.homes.GetIndexer().GetByKey(namespace + "/" + name)
		if err != nil || !ok {
			continue
		}
		if have := o.(*corev1.PersistentVolumeClaim); spawn.OwnsClaim(have, home) && have.DeletionTimestamp == nil {
			return have
		}
	}
	return nil
}

// findHome is knownHome for what the cache may not show yet: it asks the API. A claim of the right
// name that is another program's is a *spawn.Problem.
func findHome(ctx context.Context, claims typedcorev1.PersistentVolumeClaimInterface, home server.ID) (*corev1.PersistentVolumeClaim, error) {
	for i, name := range spawn.ClaimNames(home) {
		have, err := claims.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && spawn.OwnsClaim(have, home):
			return have, nil
		case err == nil && i == 0: // the name of a new one
			return nil, &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("volume claim %s is not ours", name)}
		case err != nil && !apierrors.IsNotFound(err):
			return nil, problem("read home volume", err)
		}
	}
	return nil, nil
}

// enlarge asks for a larger home where the profile wants one. Its StorageClass or a quota may say
// no: the home then stays as it is, and its user is told.
func (c *Cluster) enlarge(ctx context.Context, claims typedcorev1.PersistentVolumeClaimInterface, have, want *corev1.PersistentVolumeClaim) *spawn.Small {
	for range enlargeTries {
		patch, ok := spawn.Enlarge(have, want)
		if !ok {
			return nil
		}
		_, err := claims.Patch(ctx, have.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			c.log.InfoContext(ctx, "home volume is enlarged", "claim", have.Name, "size", want.Spec.Resources.Requests.Storage())
			return nil
		}
		if apierrors.IsConflict(err) {
			if again, readErr := claims.Get(ctx, have.Name, metav1.GetOptions{}); readErr == nil {
				have = again
				continue
			}
		}
		small := spawn.TooSmall(have, want, err.Error())
		c.log.WarnContext(ctx, "home volume cannot be enlarged", "claim", have.Name, "size", small.Have, "wanted", small.Want, "error", err)
		return small
	}
	return nil // others change it all the time; the next start asks again
}

// takeUngrown takes a start into its records once more, with the home as it is, if there is one and
// a quota of storage alone refused the start: nobody is locked out of a home for its size.
func (c *Cluster) takeUngrown(ctx context.Context, spec *spawn.Spec, needs []spawn.Need, ticket string, why error) ([]spawn.Need, error) {
	needs, ok := spawn.Ungrown(needs, why)
	if !ok {
		return nil, why
	}
	want := spawn.Claim(c.Site, spec.Profile, spec.ID)
	have, err := findHome(ctx, c.writes.CoreV1().PersistentVolumeClaims(want.Namespace), spec.Profile.Override.HomeOf(spec.ID))
	if err != nil || have == nil {
		return nil, why
	}
	if err := c.take(ctx, spec.ID, needs, ticket); err != nil {
		return nil, err
	}
	c.correct(ctx, *spec, want.Name, have.Spec.Resources.Requests.Storage().Value())
	if _, grows := spawn.Enlarge(have, want); grows {
		spec.Small = spawn.TooSmall(have, want, why.Error())
		c.log.WarnContext(ctx, "home volume cannot be enlarged", "claim", have.Name, "size", spec.Small.Have, "wanted", spec.Small.Want, "error", why)
	}
	return needs, nil
}

// correct writes the size that a home has into the records that counted a larger one.
func (c *Cluster) correct(ctx context.Context, spec spawn.Spec, claim string, size int64) {
	subjects := []spawn.Subject{{Name: spec.ID.User}}
	for _, rule := range spec.SharedRules {
		subjects = append(subjects, spawn.Subject{Name: rule, Shared: true})
	}
	for _, s := range subjects {
		err := c.inTurn(ctx, s, c.changeLive, func(r quota.Record) (quota.Record, bool, error) {
			r, changed := r.Correct(claim, size)
			return r, changed, nil
		})
		if err != nil {
			c.log.WarnContext(ctx, "a record counts a home with another size than it has", "record", s.RecordName(), "claim", claim, "error", err)
		}
	}
}
