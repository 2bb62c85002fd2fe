package dataplane

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/internal/python"
)

// restConfig is schemathesis' configuration, with the name of the user whom all is about, "" for any. A
// foreign cookie beside a token is no wrong login: the token alone counts (TestS12_ScriptsUseTokens).
// Methods that Envoy does not know it refuses by itself with 400; those that it knows have tests of their
// own (TestUnknownPathsAndMethods). And what the document allows may be refused: not every text is a name
// or a scope, and a server that runs is not started.
func restConfig(user string) string {
	pinned := ""
	if user != "" {
		pinned = "user = " + strconv.Quote(user)
	}
	return `
[checks]
ignored_auth.enabled = false
unsupported_method.enabled = false
positive_data_acceptance.enabled = false

[phases.stateful.generation]
max-examples = 30

[parameters]
` + pinned + "\n"
}

// restAmount is how much each run of TestAPIIsAsDescribed asks: the same few things each time, or, with
// PERIJOVE_REST_TIME, others until that time is over.
func restAmount(t *testing.T) (args []string, limit time.Duration) {
	t.Helper()
	const spare = 3 * time.Minute // for what has begun, on a busy machine
	text := os.Getenv("PERIJOVE_REST_TIME")
	if text == "" {
		return []string{"--seed", "1", "--max-examples", "5"}, spare
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--max-time", strconv.Itoa(int(d.Seconds()))}, d + spare
}

// TestAPIIsAsDescribed lets schemathesis read the OpenAPI document and ask every path good and bad
// things, one after the other and in sequences: nothing is answered with 5xx, and every answer is as the
// document says.
func TestAPIIsAsDescribed(t *testing.T) {
	s := newEnv(t)
	newUpstream(t, "10.99.0.1", "alice")
	s.kubelet("10.99.0.1")
	// An administrator asks about names as they come, and alice about herself: she has something here.
	alice, carol := s.login("alice"), s.login("carol")
	t.Run("an administrator", func(t *testing.T) { s.describes(t, carol.token("inherit"), restConfig("")) })
	t.Run("alice", func(t *testing.T) { s.describes(t, alice.token("inherit"), restConfig("alice")) })
}

// describes runs schemathesis with a token.
func (s *env) describes(t *testing.T, token, config string) {
	t.Helper()
	dir, err := python.Schemathesis().Install()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	writeFile(t, filepath.Join(work, "schemathesis.toml"), []byte(config))
	document := s.script("GET", contract.PathAPI+"/openapi.json", "Authorization: token "+token)
	writeFile(t, filepath.Join(work, "openapi.json"), []byte(document.body))
	amount, limit := restAmount(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "bin", "schemathesis"), append([]string{
		"run", "openapi.json", "--url", "http://" + publicAddr, "--header", "Host: " + publicHost, "--header", "Authorization: token " + token,
		"--request-timeout", "30", "--no-color",
	}, amount...)...)
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	out = bytes.ReplaceAll(out, []byte(token), []byte("TOKEN"))
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("Stateful")) {
		t.Error("no sequences were tried")
	}
	t.Logf("%s", out)
}
