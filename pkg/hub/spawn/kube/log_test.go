package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/perijove/perijove/pkg/hub/podlog"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// logAPI is an API server that gives logs, and remembers what it was asked for.
type logAPI struct {
	mu     sync.Mutex
	asked  []string
	answer func(w http.ResponseWriter, previous bool)
}

func (a *logAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.URL.Path+"?"+r.URL.RawQuery)
	a.answer(w, r.URL.Query().Get("previous") == "true")
}

// withLogs is a cluster that reads logs from an API of its own.
func withLogs(t *testing.T) (*Cluster, *fake.Clientset, *logAPI) {
	t.Helper()
	client, api := newClient(), &logAPI{}
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	reads, err := kubernetes.NewForConfig(&rest.Config{Host: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.reads = reads
	return c, client, api
}

// TestLog: the end of the log of each run, without secrets, of the server's own container. However
// often a page asks, the API is asked once in a while.
func TestLog(t *testing.T) {
	t.Parallel()
	c, client, api := withLogs(t)
	api.answer = func(w http.ResponseWriter, previous bool) {
		if previous {
			_, _ = fmt.Fprint(w, "before\n")
			return
		}
		_, _ = fmt.Fprint(w, strings.Repeat("a line\n", podlog.MaxBytes), "GET /lab?token=c0ffee0ddba11\n")
	}
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", RestartCount: 1}}
	})
	wait.Until(t, "the second run is seen", func() bool { return spawn.Restarts(c.cached(alice)) })
	var pages sync.WaitGroup
	for range 20 {
		pages.Go(func() {
			log, err := c.Log(t.Context(), alice)
			if err != nil || len(log.Now) > podlog.MaxBytes || !strings.HasSuffix(log.Now, "a line\nGET /lab?token=•••") || log.Before != "before" {
				t.Errorf("%v: %d bytes, %q", err, len(log.Now), log.Before)
			}
		})
	}
	pages.Wait()
	path := "/api/v1/namespaces/servers/pods/" + onlyPod(t, client).Name + "/log?container=notebook&limitBytes=4194304&"
	if len(api.asked) != 2 || api.asked[0] != path+"tailLines=100" || api.asked[1] != path+"previous=true&tailLines=100" {
		t.Errorf("asked for %q", api.asked)
	}
}

// TestNoLog: a container that has not started has none, and a node that is away is no reason for more
// than a sentence.
func TestNoLog(t *testing.T) {
	t.Parallel()
	c, _, api := withLogs(t)
	api.answer = func(w http.ResponseWriter, _ bool) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,"message":"container \"notebook\" is waiting to start"}`)
	}
	if log, err := c.Log(t.Context(), alice); err != nil || log != (spawn.Log{}) {
		t.Errorf("before the container starts: %+v, %v", log, err)
	}
	c.logs.known = map[types.UID]readLog{}
	api.answer = func(w http.ResponseWriter, _ bool) { w.WriteHeader(http.StatusInternalServerError) }
	if log, err := c.Log(t.Context(), alice); err == nil || log != (spawn.Log{}) {
		t.Errorf("a node that is away: %+v, %v", log, err)
	}
	if log, err := c.Log(t.Context(), server.ID{User: "nobody"}); err != nil || log != (spawn.Log{}) {
		t.Errorf("a server without a pod: %+v, %v", log, err)
	}
}
