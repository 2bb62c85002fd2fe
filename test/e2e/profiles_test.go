package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/test/wait"
)

// TestProfilesAreFollowed: a changed list is in force within five seconds, without a restart. A
// list with a fault changes nothing, and an Event says what is wrong.
func TestProfilesAreFollowed(t *testing.T) {
	maps := cluster(t).CoreV1().ConfigMaps(servers)
	const name = "perijove-profiles"
	before, err := maps.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(ctx context.Context, text string) {
		t.Helper()
		now, err := maps.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now.Data = map[string]string{profiles.Key: text}
		if _, err := maps.Update(ctx, now, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	list := before.Data[profiles.Key]
	t.Cleanup(func() { write(context.Background(), list) })
	bob := login(t, "bob")
	bob.stop()

	write(t.Context(), list+"  - display_name: E2E further\n  - display_name: E2E of nobody\n    allowed_groups: [e2e-nobody]\n")
	wait.Within(t, 5*time.Second, "the form has the new profile", func() bool {
		return strings.Contains(bob.page(contract.PathSpawn), "E2E further")
	})
	if strings.Contains(bob.page(contract.PathSpawn), "E2E of nobody") {
		t.Error("bob sees another group's profile")
	}

	write(t.Context(), list+"  - display_name: E2E wrong\n    kubespawner_override: { privileged: true }\n")
	wait.Within(t, 10*time.Second, "an Event names the fault", func() bool {
		events, err := cluster(t).CoreV1().Events(servers).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
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
