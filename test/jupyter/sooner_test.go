package jupyter

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestLauncherComesSooner: JupyterLab's launcher is there although its workspace is never saved. A
// page without our extension, the control, waits for that.
func TestLauncherComesSooner(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id)
	saving := make(chan bool, 1)
	never := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case saving <- true:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the page has gone
		<-r.Context().Done()
	}
	l.instead = func(r *http.Request) http.HandlerFunc {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/lab/api/workspaces/") {
			return never
		}
		return nil
	}
	l.page(t, id.Prefix()+"lab")

	with := l.instead
	l.mu.Lock()
	l.instead = func(r *http.Request) http.HandlerFunc {
		if strings.Contains(r.URL.Path, "/@perijove/") {
			return http.NotFound
		}
		return with(r)
	}
	l.mu.Unlock()
	<-saving // the first page's, which may have come already
	without := l.open(t, id.Prefix()+"lab")
	wait.Within(t, time.Minute, "the second page has its file browser and saves its workspace", func() bool {
		return len(saving) > 0 && eval[bool](t, without, `document.querySelector(".jp-FileBrowser") !== null`)
	})
	if eval[bool](t, without, `document.querySelector(".jp-Launcher") !== null`) {
		t.Error("the launcher comes without our extension too: is it still needed?")
	}
}
