package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
)

// bound lets alice's server, an hour old, be idle for a time or reach an age, and says when it was last used.
func (e *env) bound(annotation string, age *int64, last time.Time) {
	e.t.Helper()
	e.change("", memory.Answer)
	e.old("")
	e.change("", func(pod *corev1.Pod) {
		pod.Annotations[contract.AnnotationCullIdle] = annotation
		pod.Spec.ActiveDeadlineSeconds = age
		pod.Status.StartTime = new(pod.CreationTimestamp)
		for i := range pod.Status.Conditions {
			pod.Status.Conditions[i].LastTransitionTime = pod.CreationTimestamp
		}
	})
	if !e.cluster.Tell(server.ID{User: "alice"}, last, false) {
		e.t.Fatal("no server")
	}
}

// TestWarning: the home page and the REST API warn of a server that is about to be stopped, in the
// caller's language; the button counts as use. Nothing keeps a server of its maximum age.
func TestWarning(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	const button = `action="/hub/keep/alice"`
	shows := func(what, id string, texts map[string]string, keeps bool) {
		t.Helper()
		got := e.model("alice").Servers[""].Warning
		if (got != nil) != (id != "") || got != nil && (got.ID != id || got.Time.IsZero() || (got.Keep != "") != keeps) {
			t.Errorf("%s: the REST API says %+v", what, got)
		}
		for lang, want := range texts {
			if _, _, page := e.get("/hub/home", "Accept-Language", lang); !strings.Contains(page, want) || strings.Contains(page, button) != keeps {
				t.Errorf("%s, %s: the home page says\n%s", what, lang, page)
			}
		}
	}
	e.bound("1h", nil, time.Now().Add(-50*time.Minute))
	shows("ten minutes to go", "", map[string]string{"en": ""}, false)
	e.bound("1h", nil, time.Now().Add(-57*time.Minute))
	shows("three minutes to go", "warning.idle", map[string]string{"en": "1 h are allowed", "zh-CN": "最多可闲置 1 h"}, true)
	if code, to, _ := e.post("/hub/keep/alice", nil); code != http.StatusSeeOther || to != "/hub/home" {
		t.Errorf("keep: %d %s", code, to)
	}
	if ago := time.Since(e.reported("")); ago > time.Minute {
		t.Errorf("it was used %v ago", ago)
	}
	shows("kept", "", map[string]string{"en": ""}, false)
	e.bound("", new(int64(3600+300)), time.Now())
	shows("its age", "warning.age", map[string]string{"en": "Nothing puts that off", "zh-CN": "无法推迟"}, false)
}

// TestS12_KeepIsOnesOwn: no other user, no other site, and no link keeps a server; one that does not run
// is not kept.
func TestS12_KeepIsOnesOwn(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/keep/alice", nil); code != http.StatusFailedDependency {
		t.Errorf("no server: %d", code)
	}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	if code, _, _ := e.post("/hub/keep/alice", nil); code != http.StatusFailedDependency {
		t.Errorf("a server that starts: %d", code)
	}
	e.bound("1h", nil, time.Now().Add(-57*time.Minute))
	before := e.reported("")
	for name, c := range map[string]struct {
		request
		want int
	}{
		"another user":   {request{method: "POST", form: url.Values{contract.XSRFName: {token}}, headers: []string{contract.HeaderUser, "-", contract.HeaderUser, "bob"}}, http.StatusForbidden},
		"a foreign form": {request{method: "POST", form: url.Values{contract.XSRFName: {token + "x"}}}, http.StatusForbidden},
		"a link":         {request{method: "GET"}, http.StatusNotFound},
	} {
		c.path = "/hub/keep/alice"
		if code, _, _ := e.read(e.send(c.request)); code != c.want {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
	}
	if !e.reported("").Equal(before) {
		t.Error("one of them counted as use")
	}
	if code, _, _ := e.post("/hub/keep/alice", nil, carol...); code != http.StatusSeeOther || e.reported("").Equal(before) {
		t.Errorf("an administrator: %d", code)
	}
}
