package hub

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// TestHomeSaysHowFullHomesAre: as soon as a node tells, in the user's language, with a warning before
// a home is full. A node that does not answer delays the page a moment, and takes nothing away.
func TestHomeSaysHowFullHomesAre(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	answer := make(chan spawn.Space, 1)
	var asked spawn.Mounted
	e.hub.Space = func(ctx context.Context, v spawn.Mounted) (spawn.Space, bool) {
		asked = v
		select {
		case s := <-answer:
			return s, true
		case <-ctx.Done():
			return spawn.Space{}, false
		}
	}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	const gib = 1 << 30
	answer <- spawn.Space{Free: gib, Total: gib}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "<meter") {
		t.Error("negative control: before the server runs, a node has no home of it")
	}
	<-answer
	e.change("", memory.Answer)
	e.change("", func(pod *corev1.Pod) { pod.Status.HostIP = "10.1.2.3" })
	begin := time.Now()
	if code, _, page := e.get("/hub/home"); code != http.StatusOK || strings.Contains(page, "<meter") {
		t.Errorf("without an answer: %d\n%s", code, page)
	}
	if took := time.Since(begin); took < spaceWait || took > 10*spaceWait {
		t.Errorf("without an answer the page takes %v", took)
	}
	if asked.Node.String() != "10.1.2.3" || asked.Namespace != "servers" || asked.Claim != spawn.HomeName("alice") {
		t.Errorf("asked for %+v", asked)
	}
	for lang, want := range map[string]string{"en": ">4 GiB of 10 GiB free", "zh-CN": ">剩余 4 GiB，共 10 GiB"} {
		answer <- spawn.Space{Free: 4 * gib, Total: 10 * gib}
		if _, _, page := e.get("/hub/home", "Accept-Language", lang); !strings.Contains(page, want) || !strings.Contains(page, `value="60"`) || strings.Contains(page, "almost full") {
			t.Errorf("%s: no %q:\n%s", lang, want, page)
		}
	}
	answer <- spawn.Space{Free: 50 << 20, Total: 10 * gib}
	if _, _, page := e.get("/hub/home"); !strings.Contains(page, "The home folder is almost full.") {
		t.Errorf("no warning:\n%s", page)
	}
}
