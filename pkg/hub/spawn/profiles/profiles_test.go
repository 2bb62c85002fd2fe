package profiles

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/test/wait"
)

const good = "base: {image: a}\nprofiles: [{display_name: Lab}, {display_name: GPU}]\n"

func configMap(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: "profiles"}, Data: map[string]string{Key: text}}
}

// follow runs a Feed on a cluster with these ConfigMaps; state is what readiness is told.
func follow(t *testing.T, client *fake.Clientset) (f *Feed, events *record.FakeRecorder, state chan error) {
	t.Helper()
	events, state = record.NewFakeRecorder(10), make(chan error, 10)
	f = New(client, events, func(err error) { state <- err }, time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler),
		Settings{Namespace: "servers", ConfigMap: "profiles"})
	done := make(chan error, 1)
	go func() { done <- f.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f, events, state
}

func write(t *testing.T, client *fake.Clientset, text string) {
	t.Helper()
	if _, err := client.CoreV1().ConfigMaps("servers").Update(t.Context(), configMap(text), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestAListIsFollowed(t *testing.T) {
	t.Parallel()
	other := configMap("profiles: nonsense")
	other.Name = "other"
	client := fake.NewClientset(configMap(good), other)
	f, events, state := follow(t, client)
	<-f.Synced()
	if err := <-state; err != nil || len(f.Policy().Profiles) != 2 {
		t.Fatalf("%d profiles, %v", len(f.Policy().Profiles), err)
	}

	write(t, client, good+"unknown: true\n")
	if got := <-events.Events; !strings.Contains(got, "Warning "+ReasonRefused) || !strings.Contains(got, "unknown") || !strings.Contains(got, "stays in force") {
		t.Errorf("the Event says %q", got)
	}
	if len(f.Policy().Profiles) != 2 || testutil.ToFloat64(f.faults) != 1 {
		t.Errorf("after a wrong list: %d profiles, %v refused", len(f.Policy().Profiles), testutil.ToFloat64(f.faults))
	}

	write(t, client, "base: {image: a}\nprofiles: [{display_name: Only}]\n")
	if got := <-events.Events; !strings.Contains(got, "Normal "+ReasonTaken) {
		t.Errorf("the Event says %q", got)
	}
	if c := f.Policy().Profiles; len(c) != 1 || c[0].Slug != "only" {
		t.Errorf("after the mend: %+v", c)
	}

	if err := client.CoreV1().ConfigMaps("servers").Delete(t.Context(), "profiles", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(f.Policy().Profiles) != 1 {
		t.Error("a list that was deleted took the profiles with it")
	}
}

func TestWithoutAGoodListItIsNotReady(t *testing.T) {
	t.Parallel()
	for name, objects := range map[string][]*corev1.ConfigMap{"none": nil, "wrong": {configMap("profiles: []")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset()
			for _, o := range objects {
				if _, err := client.CoreV1().ConfigMaps(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			f, _, state := follow(t, client)
			if err := <-state; err == nil || len(f.Policy().Profiles) > 0 {
				t.Fatalf("ready without a list: %v", err)
			}
			if objects == nil {
				if _, err := client.CoreV1().ConfigMaps("servers").Create(t.Context(), configMap(good), metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, client, good)
			}
			<-f.Synced()
			wait.Until(t, "it is ready", func() bool { return <-state == nil })
		})
	}
}

func TestReadNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := Read("base: {image: a, cpu_limit: many}\nprofiles: [{slug: No!, display_name: A}, {display_name: B, kubespawner_override: {image: '-'}}]\n")
	var found []string
	for line := range strings.Lines(fmt.Sprint(err)) {
		found = append(found, strings.TrimSpace(line))
	}
	for _, want := range []string{"profiles[0].slug", "profiles[0].kubespawner_override.cpu_limit", "profiles[1].kubespawner_override.image"} {
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%v does not name %s", found, want)
		}
	}
	if _, err := Read(""); err == nil || errors.Is(err, nil) {
		t.Error("an empty list is taken")
	}
	if len(brief(strings.Repeat("é", 2000))) > 1024 {
		t.Error("an Event is longer than Kubernetes takes")
	}
}
