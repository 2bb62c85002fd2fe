package hub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
