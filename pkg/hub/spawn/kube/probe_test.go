package kube

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// jupyter is a server in place of a pod's: it answers as told, on 127.0.0.1.
type jupyter struct {
	status atomic.Int64
	asked  atomic.Int64
	path   atomic.Value
}

// TestAnsweringIsNoticed probes the pod from the moment it has an address, accepts
// nothing but 200, and takes its word back when the container is replaced.
func TestAnsweringIsNoticed(t *testing.T) {
	j := &jupyter{}
	j.status.Store(http.StatusServiceUnavailable)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.asked.Add(1)
		j.path.Store(r.URL.EscapedPath())
		w.Header().Set("Location", "http://169.254.169.254/")
		w.WriteHeader(int(j.status.Load()))
	}))
	defer srv.Close()
	client := newClient()
	c, _ := boot(t, client, settings())
	// The pod's address leads to the test server: pods' own addresses do not exist here.
	c.answers.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		if addr != "10.9.8.7:8888" {
			t.Errorf("asked %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(srv.URL, "http://"))
	}}
	id := server.ID{User: "张三", Name: "demo"}
	if err := c.Start(t.Context(), ask(id)); err != nil {
		t.Fatal(err)
	}
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.PodIP, s.HostIP = corev1.PodRunning, "10.9.8.7", "192.168.0.1" })
	answering := func() bool { return spawn.IsAnswering(onlyPod(t, client)) }
	for _, no := range []int{http.StatusServiceUnavailable, http.StatusFound, http.StatusForbidden} {
		before := j.asked.Load()
		j.status.Store(int64(no))
		wait.Until(t, "it is asked again", func() bool { return j.asked.Load() > before+2 })
		if answering() {
			t.Fatalf("%d was taken for an answer", no)
		}
	}
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering", answering)
	if got, want := j.path.Load(), id.Prefix()+"api"; got != want {
		t.Errorf("asked for %v, want %s", got, want)
	}
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
	})
	wait.Until(t, "one spawn is counted", func() bool { return testutil.CollectAndCount(c.metrics.spawns) == 1 })
	if c.running() != 1 {
		t.Errorf("%v running servers", c.running())
	}

	j.status.Store(http.StatusServiceUnavailable)
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", RestartCount: 1}}
	})
	wait.Until(t, "the condition is taken back", func() bool {
		for _, cond := range onlyPod(t, client).Status.Conditions {
			if cond.Type == contract.ConditionAnswering {
				return cond.Status == corev1.ConditionFalse
			}
		}
		return false
	})
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering after the restart", answering)
}
