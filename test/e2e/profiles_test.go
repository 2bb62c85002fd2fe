package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applied "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/test/wait"
)

// profilesName is the ConfigMap of the profiles.
const profilesName = "perijove-profiles"

// profileList returns the list of profiles and a function that writes another one, until the
// test ends.
func profileList(t *testing.T) (before string, write func(text string)) {
	t.Helper()
	maps := cluster(t).CoreV1().ConfigMaps(servers)
	put := func(ctx context.Context, text string) {
		t.Helper()
		now, err := maps.Get(ctx, profilesName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// As Helm writes it: the next `helm upgrade` refuses what another program has taken over.
		change := applied.ConfigMap(now.Name, now.Namespace).WithLabels(now.Labels).WithAnnotations(now.Annotations).
			WithData(map[string]string{profiles.Key: text})
		if _, err := maps.Apply(ctx, change, metav1.ApplyOptions{FieldManager: "helm", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := maps.Get(t.Context(), profilesName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before = now.Data[profiles.Key]
	t.Cleanup(func() { put(context.Background(), before) })
	return before, func(text string) { put(t.Context(), text) }
}

// TestProfilesAreFollowed: a changed list is in force within five seconds, without a restart. A
// list with a fault changes nothing, and an Event says what is wrong.
func TestProfilesAreFollowed(t *testing.T) {
	list, write := profileList(t)
	bob := login(t, "bob")
	bob.stop()

	write(list + "  - display_name: E2E further\n  - display_name: E2E of nobody\n    allowed_groups: [e2e-nobody]\n")
	wait.Within(t, 5*time.Second, "the form has the new profile", func() bool {
		return strings.Contains(bob.page(contract.PathSpawn), "E2E further")
	})
	if strings.Contains(bob.page(contract.PathSpawn), "E2E of nobody") {
		t.Error("bob sees another group's profile")
	}

	write(list + "  - display_name: E2E wrong\n    kubespawner_override: { privileged: true }\n")
	wait.Within(t, 10*time.Second, "an Event names the fault", func() bool {
		events, err := cluster(t).CoreV1().Events(servers).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + profilesName})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.Reason == profiles.ReasonRefused && strings.Contains(e.Message, "privileged") {
				return true
			}
		}
		return false
	})
	if !strings.Contains(bob.page(contract.PathSpawn), "E2E further") {
		t.Error("a list with a fault took the last good one away")
	}
}
