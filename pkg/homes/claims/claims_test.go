package claims

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/test/wait"
)

func pod(name, home, driver string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: name, UID: "uid-of-pod", Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: "n1", Volumes: []corev1.Volume{{Name: "home", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver}}}}},
	}
	if home != "" {
		p.Annotations[contract.AnnotationHome] = home
	}
	return p
}

// given records whom Run calls for; it fails the first two times.
type given struct {
	mu    sync.Mutex
	names []string
}

func (g *given) give(_ context.Context, p *corev1.Pod) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names = append(g.names, p.Name); len(g.names) < 3 {
		return errors.New("the server of the home does not answer")
	}
	return nil
}

func (g *given) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.names)
}

// Pods from before the start and later ones get their homes; a failure is told and tried again; pods without a claim or
// without a late home are left alone.
func TestRunGivesUntilItWorks(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(pod("claimed", "claim-uid", plan.Driver), pod("waits", "", plan.Driver), pod("other", "claim-uid", "csi.test"))
	c, g := Claims{Client: client, Namespace: "servers", Node: "n1"}, &given{}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, g.give) }()
	wait.Until(t, "the claimed pod has its home at the third try", func() bool { return slices.Equal(g.all(), []string{"claimed", "claimed", "claimed"}) })
	wait.Until(t, "an event says why it came late", func() bool {
		list, err := client.CoreV1().Events("servers").List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) > 0 && strings.Contains(list.Items[0].Message, "does not answer") && list.Items[0].InvolvedObject.Name == "claimed"
	})
	now := pod("waits", "claim-uid", plan.Driver)
	if _, err := client.CoreV1().Pods("servers").Update(ctx, now, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the pod that was claimed now has its home", func() bool { return slices.Contains(g.all(), "waits") })
	if slices.Contains(g.all(), "other") {
		t.Error("another driver's pod got a home")
	}
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Run does not end")
	}
}

func TestPodIsTheOneThatWasNamed(t *testing.T) {
	t.Parallel()
	elsewhere := pod("elsewhere", "", plan.Driver)
	elsewhere.Spec.NodeName = "n2"
	c := Claims{Client: fake.NewClientset(pod("a", "", plan.Driver), elsewhere), Namespace: "servers", Node: "n1"}
	if p, err := c.Pod(t.Context(), "a", "uid-of-pod"); err != nil || p.Name != "a" {
		t.Errorf("%v %v", p, err)
	}
	for _, bad := range []struct {
		name string
		uid  types.UID
	}{{"a", "other"}, {"gone", "uid-of-pod"}, {"elsewhere", "uid-of-pod"}} {
		if p, err := c.Pod(t.Context(), bad.name, bad.uid); !errors.Is(err, ErrGone) {
			t.Errorf("%v: %v %v", bad, p, err)
		}
	}
}
