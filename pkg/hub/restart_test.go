package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// uid is the UID of alice's default server, as the restart button sends it.
func (e *env) uid() string {
	e.t.Helper()
	s, err := e.cluster.Get(e.t.Context(), server.ID{User: "alice"})
	if err != nil {
		e.t.Fatal(err)
	}
	return s.UID
}

// TestRestart: one click stops the server and starts it again as it was, and the home page says so
// meanwhile. A second click, which still names the old run, restarts nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "/hub/restart") {
		t.Error("negative control: a server that starts has a restart button")
	}
	e.change("", memory.Answer)
	first := e.uid()
	if _, _, page := e.get("/hub/home"); !strings.Contains(page, `action="/hub/restart/alice"`) || !strings.Contains(page, `name="pod" value="`+first+`"`) {
		t.Fatalf("no restart button:\n%s", page)
	}
	e.cluster.Hold()
	click := func() {
		t.Helper()
		if code, to, body := e.post("/hub/restart/alice", url.Values{"pod": {first}}); code != http.StatusSeeOther || to != contract.PathHome {
			t.Errorf("restart: %d to %s\n%s", code, to, body)
		}
	}
	click()
	for lang, want := range map[string]string{"en": ">Restarting<", "zh-CN": ">正在重启<"} {
		if _, _, page := e.get("/hub/home", "Accept-Language", lang); !strings.Contains(page, want) {
			t.Errorf("%s: the home page does not say that it restarts:\n%s", lang, page)
		}
	}
	if _, _, page := e.get("/hub/spawn-pending/alice"); !strings.Contains(page, "being stopped, and then starts again") {
		t.Errorf("the progress page:\n%s", page)
	}
	e.cluster.Release()
	wait.Until(t, "another pod", func() bool { return e.uid() != "" && e.uid() != first })
	e.change("", memory.Answer)
	second := e.uid()
	click()
	if e.uid() != second {
		t.Error("a second click on the same page restarts the server again")
	}
}

// TestRestartIsForOwners: as starting and stopping it is for the owner and administrators, with the
// token of the session (S9).
func TestRestartIsForOwners(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	e.become("alice", memory.Answer)
	first := e.uid()
	form := url.Values{"pod": {first}}
	if code, _, _ := e.post("/hub/restart/alice", form, contract.HeaderUser, "-", contract.HeaderUser, "bob"); code != http.StatusForbidden {
		t.Errorf("bob restarts alice's server: %d", code)
	}
	if code, _, _ := e.read(e.send(request{method: "POST", path: "/hub/restart/alice", form: form, headers: []string{contract.HeaderXSRF, "-", contract.HeaderXSRF, "another"}})); code != http.StatusForbidden {
		t.Errorf("without the token: %d", code)
	}
	if code, _, _ := e.get("/hub/restart/alice?pod=" + first); code == http.StatusOK || e.uid() != first {
		t.Errorf("a link restarts it: %d", code)
	}
	if code, _, _ := e.post("/hub/restart/alice", form, root()...); code == http.StatusSeeOther || e.uid() != first {
		t.Errorf("an administrator, for a name that nobody has: %d", code)
	}
	form.Set("back", "/hub/admin")
	if code, to, _ := e.post("/hub/restart/alice", form, append(root(), contract.HeaderSubject, "alice")...); code != http.StatusSeeOther || to != "/hub/admin" || e.uid() == first {
		t.Errorf("an administrator: %d to %s", code, to)
	}
	logs.Audited(t, e.log.String(), telemetry.ServerRestarted)
	if _, _, page := e.get("/hub/admin/users/alice", root()...); !strings.Contains(page, "Restart of the server") {
		t.Errorf("the person's page does not tell it:\n%s", page)
	}
}

// TestARestartThatCannotBe goes on with the server that runs, and says why.
func TestARestartThatCannotBe(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	e.become("alice", memory.Answer)
	first := e.uid()
	e.become("alice", func(pod *corev1.Pod) { pod.Annotations[contract.AnnotationOptions] = `{"profile": "gone"}` })
	code, _, page := e.post("/hub/restart/alice", url.Values{"pod": {first}})
	if code == http.StatusSeeOther || !strings.Contains(page, "profile") || e.uid() != first {
		t.Errorf("%d, pod %s:\n%s", code, e.uid(), page)
	}
}
