package jupyter

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// imported returns the modules that a server has imported when it answers its first page, as Python itself lists them
// (PYTHONPROFILEIMPORTTIME).
func imported(t *testing.T) map[string]bool {
	t.Helper()
	id := server.ID{User: "alice"}
	cmd, out, origin := command(t, id, "PERIJOVE_SERVER_SECRET="+secret, "PYTHONPROFILEIMPORTTIME=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := wait.Poll(time.Minute, func() bool {
		resp, err := http.Get(origin + id.Prefix() + "api")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if answers {
		if status, _ := ask(t, "GET", origin+id.Prefix()+"lab", gateway()); status != http.StatusOK {
			t.Errorf("the page answers %d", status)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // it was asked to end
	if !answers {
		t.Fatalf("the server does not answer:\n%s", out)
	}
	modules := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		if times, found := strings.CutPrefix(line, "import time:"); found {
			modules[strings.TrimSpace(times[strings.LastIndex(times, "|")+1:])] = true
		}
	}
	return modules
}

// rfc3987_syntax builds a grammar when it is imported, and took half of every start: see
// deploy/images/notebook/excludes.txt. jsonschema would import it wherever it is installed.
func TestStartLoadsNoGrammar(t *testing.T) {
	modules := imported(t)
	for _, control := range []string{"jupyter_events", "jsonschema", "rfc3986_validator"} {
		if !modules[control] {
			t.Errorf("%s was not imported: the list of %d modules proves nothing", control, len(modules))
		}
	}
	// Python lists a module that it looked for in vain too, but no part of it.
	for _, slow := range []string{"rfc3987_syntax.syntax_helpers", "lark"} {
		if modules[slow] {
			t.Errorf("%s was imported by a start", slow)
		}
	}
}
