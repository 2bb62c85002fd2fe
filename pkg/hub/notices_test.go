package hub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// TestOutOfMemoryIsSaid: a server that was ended at its memory limit and runs again looks like
// any other. The home page and the REST API say what happened, in the caller's language.
func TestOutOfMemoryIsSaid(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	notices := func(lang string) []apiNotice {
		t.Helper()
		_, _, body := e.get("/hub/api/users/alice", "Accept-Language", lang)
		var user apiUser
		if err := json.Unmarshal([]byte(body), &user); err != nil || user.Servers[""].Notices == nil {
			t.Fatalf("%v %s", err, body)
		}
		return user.Servers[""].Notices
	}
	e.change("", memory.Answer)
	if got := notices("en"); len(got) != 0 {
		t.Errorf("negative control: a server that runs well has %v", got)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "out of memory") {
		t.Error("negative control: the home page warns of a server that runs well")
	}
	e.change("", memory.RunOut)
	for lang, want := range map[string]string{"en": "ran out of memory: it may use 1 GiB.", "zh-CN": "最多可使用 1 GiB"} {
		if got := notices(lang); len(got) != 1 || got[0].ID != "notice.oom" || !strings.Contains(got[0].Text, want) || got[0].Time.IsZero() {
			t.Errorf("%s: %+v", lang, got)
		}
		if _, _, page := e.get("/hub/home", "Accept-Language", lang); !strings.Contains(page, want) {
			t.Errorf("%s: the home page lacks %q:\n%s", lang, want, page)
		}
	}
}

// TestEvictedServerHasEnded: a server that the cluster ends while it is in use has not failed to
// start. Its page says why in plain words, and starts it again.
func TestEvictedServerHasEnded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	e.change("", func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	})
	for lang, want := range map[string][]string{"en": {"Your server has ended", "short of memory or disk space"}, "zh-CN": {"服务器已结束", "内存或磁盘空间不足"}} {
		code, _, page := e.get("/hub/spawn-pending/alice", "Accept-Language", lang)
		for _, text := range append(want, "The node was low on resource: memory.", `id="retry"`) {
			if code != http.StatusOK || !strings.Contains(page, text) {
				t.Errorf("%s: %d, no %q:\n%s", lang, code, text, page)
			}
		}
	}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	if s := e.cluster.List("alice"); len(s) != 1 || s[0].Phase != spawn.Pending {
		t.Errorf("after the next start: %+v", s)
	}
}
