package board

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/hub/announce"
	"github.com/perijove/perijove/test/wait"
)

func replica(t *testing.T, client kubernetes.Interface) *Board {
	t.Helper()
	b := New(client, "servers", time.Now, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- b.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func say(t *testing.T, id string) announce.Message {
	t.Helper()
	m, err := announce.New(id, "carol", "Down on Sunday", "", announce.Info, time.Now().Add(time.Hour), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReplicasShowTheSame: what one replica is told all show, and what one is told to remove none.
func TestReplicasShowTheSame(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	a, b := replica(t, client), replica(t, client)
	var both sync.WaitGroup
	for id, at := range map[string]*Board{"1": a, "2": b} {
		both.Go(func() {
			if err := at.Post(t.Context(), say(t, id)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	wait.Until(t, "both show both", func() bool { return len(a.Shown()) == 2 && len(b.Shown()) == 2 })
	for range 2 {
		if err := b.Remove(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
	}
	wait.Until(t, "both show one", func() bool {
		return len(a.Shown()) == 1 && len(b.Shown()) == 1 && a.Shown()[0].ID == "2"
	})
	maps, err := client.CoreV1().ConfigMaps("servers").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(maps.Items) != 1 || !strings.HasPrefix(maps.Items[0].Name, "usage.") {
		t.Errorf("%v %v", maps, err)
	}
	for i := range announce.Most - 1 {
		if err := a.Post(t.Context(), say(t, strings.Repeat("x", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Post(t.Context(), say(t, "more")); !errors.Is(err, announce.ErrMany) {
		t.Errorf("one too many: %v", err)
	}
	if err := client.CoreV1().ConfigMaps("servers").Delete(t.Context(), Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "none is shown", func() bool { return len(a.Shown()) == 0 && len(b.Shown()) == 0 })
}

// TestBrokenMessagesHideNoPage: an object that cannot be read has no messages, and can be written again.
func TestBrokenMessagesHideNoPage(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	broken := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: "servers"}, Data: map[string]string{key: "{"}}
	if _, err := client.CoreV1().ConfigMaps("servers").Create(t.Context(), broken, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b := replica(t, client)
	if err := b.Post(t.Context(), say(t, "1")); err != nil || len(b.Shown()) != 1 {
		t.Errorf("%v %v", err, b.Shown())
	}
}
