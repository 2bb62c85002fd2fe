// Package locking gives tests a fake Kubernetes API that keeps optimistic locking for
// Secrets as the real one does. client-go's fake lets every write win, so nothing that
// two replicas do to one object could be tested with it.
package locking

import (
	"errors"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"
)

// NewClientset returns a fake clientset in which every write of a Secret gets a new
// resourceVersion, every created one a UID, and an update on top of another version
// conflicts.
func NewClientset(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	api := &api{client: client, version: 1000}
	client.PrependReactor("create", "secrets", api.create)
	client.PrependReactor("update", "secrets", api.update)
	return client
}

type api struct {
	client  *fake.Clientset
	mu      sync.Mutex
	version int
}

func (a *api) create(action clienttest.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttest.CreateAction)
	if !ok {
		return false, nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	secret, ok := create.GetObject().DeepCopyObject().(*corev1.Secret)
	if !ok {
		return true, nil, errors.New("create: not a Secret")
	}
	a.version++
	secret.ResourceVersion = strconv.Itoa(a.version)
	secret.UID = types.UID("uid-" + secret.ResourceVersion)
	secret.CreationTimestamp = metav1.NewTime(time.Unix(int64(a.version), 0))
	if err := a.client.Tracker().Create(action.GetResource(), secret, action.GetNamespace()); err != nil {
		return true, nil, err
	}
	return true, secret.DeepCopy(), nil
}

func (a *api) update(action clienttest.Action) (bool, runtime.Object, error) {
	update, ok := action.(clienttest.UpdateAction)
	if !ok {
		return false, nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	secret, ok := update.GetObject().DeepCopyObject().(*corev1.Secret)
	if !ok {
		return true, nil, errors.New("update: not a Secret")
	}
	old, err := a.client.Tracker().Get(action.GetResource(), action.GetNamespace(), secret.Name)
	if err != nil {
		return true, nil, err
	}
	was, ok := old.(*corev1.Secret)
	if !ok {
		return true, nil, errors.New("update: not a Secret")
	}
	if secret.ResourceVersion != "" && secret.ResourceVersion != was.ResourceVersion || secret.UID != was.UID {
		return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), secret.Name, errors.New("the object has been modified"))
	}
	a.version++
	secret.ResourceVersion = strconv.Itoa(a.version)
	if err := a.client.Tracker().Update(action.GetResource(), secret, action.GetNamespace()); err != nil {
		return true, nil, err
	}
	return true, secret.DeepCopy(), nil
}
