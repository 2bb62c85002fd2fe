package hub

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/logs"
)

const traceback = "Traceback (most recent call last):\nModuleNotFoundError: No module named '<nosuch>'"

// TestS14_LogIsForOwners: the end of a server's log, escaped and without secrets, is for the owner and
// administrators.
func TestS14_LogIsForOwners(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	id := server.ID{User: "alice"}
	e.startFor("alice", "")
	if _, _, page := e.get("/hub/log/alice"); !strings.Contains(page, "has written nothing yet") {
		t.Errorf("negative control: before it writes:\n%s", page)
	}
	e.become("alice", memory.Answer)
	e.cluster.Write(id, "302 GET /lab?token=c0ffee0ddba11 <script>alert(1)</script>", "the run before")
	for _, who := range [][]string{nil, root()} {
		code, _, page := e.get("/hub/log/alice", who...)
		if code != http.StatusOK || !strings.Contains(page, "302 GET /lab?token=") || !strings.Contains(page, "the run before") {
			t.Errorf("%v: %d\n%s", who, code, page)
		}
		if strings.Contains(page, "c0ffee0ddba11") || strings.Contains(page, "<script>alert") {
			t.Errorf("%v: the page has the token, or the log's markup:\n%s", who, page)
		}
	}
	logs.Audited(t, e.log.String(), telemetry.ServerLogRead)
	if n := strings.Count(e.log.String(), string(telemetry.ServerLogRead)); n != 1 {
		t.Errorf("%d readers are recorded, want the administrator", n)
	}
	for name, who := range map[string][]string{
		"bob": {contract.HeaderUser, "-", contract.HeaderUser, "bob"}, "a token that only reads": {contract.HeaderScopes, contract.EncodeHeader("read:servers!user=alice")},
	} {
		code, _, page := e.get("/hub/log/alice", who...)
		if code != http.StatusForbidden || strings.Contains(page, "302 GET") {
			t.Errorf("%s: %d\n%s", name, code, page)
		}
	}
	if _, _, page := e.get("/hub/home"); !strings.Contains(page, `href="/hub/log/alice"`) {
		t.Errorf("the home page does not lead there:\n%s", page)
	}
}

// TestAFailedStartShowsWhatTheServerWrote: folded below the reason, so that its user sees the fault
// of an import in the own configuration.
func TestAFailedStartShowsWhatTheServerWrote(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	e.cluster.Write(server.ID{User: "alice"}, traceback, "")
	if _, _, page := e.get("/hub/spawn-pending/alice"); strings.Contains(page, "nosuch") {
		t.Error("negative control: a server that starts shows its log")
	}
	e.become("alice", func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", RestartCount: 1, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "the last line"},
		}}}
	})
	_, _, page := e.get("/hub/spawn-pending/alice")
	if !strings.Contains(page, `<details id="wrote">`) || !strings.Contains(page, "No module named &#39;&lt;nosuch&gt;&#39;") || strings.Contains(page, "the last line") {
		t.Errorf("the progress page:\n%s", page)
	}
	e.hub.cluster = unreadable{e.hub.cluster}
	if _, _, page := e.get("/hub/spawn-pending/alice"); strings.Contains(page, `id="wrote"`) || !strings.Contains(page, "the last line") {
		t.Errorf("with a node that does not give the log:\n%s", page)
	}
	if code, _, page := e.get("/hub/log/alice"); code != http.StatusOK || !strings.Contains(page, "cannot be read right now") || strings.Contains(page, "no such node") {
		t.Errorf("the log's own page: %d\n%s", code, page)
	}
}

// unreadable is a cluster whose nodes give no logs.
type unreadable struct{ Cluster }

func (unreadable) Log(context.Context, server.ID) (spawn.Log, error) {
	return spawn.Log{}, errors.New("no such node")
}
