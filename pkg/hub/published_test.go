package hub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
)

// model is a user as the REST API shows it to the user.
func (e *env) model(user string) apiUser {
	e.t.Helper()
	_, _, body := e.get("/hub/api/user", contract.HeaderUser, "-", contract.HeaderUser, user)
	var u apiUser
	if err := json.Unmarshal([]byte(body), &u); err != nil {
		e.t.Fatalf("%v: %s", err, body)
	}
	return u
}

// TestPublishedPodsAreListed: what an administrator published for a user is on the home page and in
// the REST model; it can be opened, and neither started nor stopped.
func TestPublishedPodsAreListed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	rstudio := server.ID{User: "alice", Name: "r studio"}
	const open = `href="/user/alice/r%20studio/"`
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "r studio") {
		t.Fatal("negative control: it is there before it is published")
	}
	e.cluster.Put(memory.Labelled("rstudio", rstudio, time.Now().Add(-time.Hour)))
	for lang, badge := range map[string]string{"en": ">published<", "zh-CN": ">已发布<"} {
		_, _, page := e.get("/hub/home", "Accept-Language", lang)
		if !strings.Contains(page, badge) || !strings.Contains(page, open) || strings.Contains(page, "/hub/stop/alice/r%20studio") {
			t.Errorf("%s: %s", lang, page)
		}
	}
	if _, _, page := e.get("/hub/home", contract.HeaderUser, "-", contract.HeaderUser, "bob"); strings.Contains(page, "r studio") {
		t.Error("bob is shown alice's")
	}
	m, ok := e.model("alice").Servers["r studio"]
	if !ok || !m.Ready || !m.Published || m.Stopped || m.Pending != nil || m.URL != "/user/alice/r%20studio/" || m.Notices == nil {
		t.Errorf("the REST model: %+v", m)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/servers/r%20studio", ""); code != http.StatusConflict || !strings.Contains(body, "published") {
		t.Errorf("a start at its address: %d %s", code, body)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice/servers/r%20studio", ""); code != http.StatusConflict {
		t.Errorf("a stop: %d %s", code, body)
	}
	if code, _, _ := e.post("/hub/stop/alice/r%20studio", nil); code != http.StatusConflict {
		t.Errorf("a stop by the form: %d", code)
	}
	if code, _, page := e.get("/hub/new-server?name=r+studio"); code != http.StatusBadRequest || !strings.Contains(page, "You have a server of that name") {
		t.Errorf("one more of that name: %d", code)
	}
	if got := e.cluster.Pods(); len(got) != 1 {
		t.Errorf("pods %v", got)
	}
}

// TestPublishedDefaultServer: a pod of JupyterHub's, say, that goes on until its user moves over.
func TestPublishedDefaultServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cluster.Put(memory.Labelled("jupyter-of-before", server.ID{User: "alice"}, time.Now().Add(-time.Hour)))
	if code, to, _ := e.get("/hub/"); code != http.StatusFound || to != "/user/alice/" {
		t.Errorf("the hub leads to %d %s", code, to)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, `id="start"`) || !strings.Contains(page, `href="/user/alice/"`) {
		t.Errorf("the home page offers a start that users would never reach:\n%s", page)
	}
	if u := e.model("alice"); u.Server == nil || *u.Server != "/user/alice/" {
		t.Errorf("the REST model: %+v", u)
	}
	if code, _, page := e.post("/hub/spawn/alice", nil); code != http.StatusConflict || !strings.Contains(page, "has published an application") {
		t.Errorf("a start: %d", code)
	}
}

// TestHiddenServer: a server of the user's that a pod of the same name hides is still there: it
// cannot be opened, and can be stopped.
func TestHiddenServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	answer := func(pod *corev1.Pod) {
		memory.Answer(pod)
		pod.Status.PodIP = "10.1.2.4"
	}
	e.change("", answer)
	e.cluster.Put(memory.Labelled("younger", server.ID{User: "alice"}, time.Now().Add(time.Hour)))
	if _, _, page := e.get("/hub/home"); strings.Contains(page, ">published<") || e.model("alice").Servers[""].Published {
		t.Errorf("negative control: the gateway leads to the older one:\n%s", page)
	}
	e.cluster.Put(memory.Labelled("older", server.ID{User: "alice"}, time.Now().Add(-time.Hour)))
	_, _, page := e.get("/hub/home")
	if !strings.Contains(page, ">published<") || strings.Count(page, `href="/user/alice/"`) != 1 || !strings.Contains(page, "so it cannot be opened") || !strings.Contains(page, `action="/hub/stop/alice"`) {
		t.Errorf("the home page:\n%s", page)
	}
	if m := e.model("alice").Servers[""]; !m.Published || !m.Ready {
		t.Errorf("the REST model: %+v", m)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice/server", ""); code != http.StatusNoContent {
		t.Errorf("the user's own server is not stopped: %d %s", code, body)
	}
	if got := strings.Join(e.cluster.Pods(), " "); got != "older younger" {
		t.Errorf("pods %s", got)
	}
}
