package hub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// old makes alice's servers that there are an hour old.
func (e *env) old(names ...string) {
	e.t.Helper()
	for _, name := range names {
		e.change(name, func(pod *corev1.Pod) { pod.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour)) })
	}
}

// reported is when alice's server of that name was last said to be in use; zero for not since old.
func (e *env) reported(name string) time.Time {
	e.t.Helper()
	s, err := e.cluster.Get(e.t.Context(), server.ID{User: "alice", Name: name})
	if err != nil {
		e.t.Fatal(err)
	}
	if s.LastActivity.Equal(s.Created) {
		return time.Time{}
	}
	return s.LastActivity
}

// TestActivity: a report in JupyterHub's form is noted whole or not at all.
func TestActivity(t *testing.T) {
	t.Parallel()
	const path = "/hub/api/users/alice/activity"
	e := newEnv(t)
	for _, spawn := range []string{"/hub/spawn/alice", "/hub/spawn/alice/b"} {
		if code, _, _ := e.post(spawn, nil); code != http.StatusSeeOther {
			t.Fatal(code)
		}
	}
	e.old("", "b")
	at := func(in time.Duration) string { return time.Now().Add(in).UTC().Format(time.RFC3339Nano) }
	servers := func(first, second string) string {
		return fmt.Sprintf(`{"servers":{"":{"last_activity":%q},%q:{"last_activity":%q}}}`, at(0), first, second)
	}
	e.calls([]call{
		{"nothing", "POST", path, "", 400, "JSON object"},
		{"an empty report", "POST", path, "{}", 400, "must be there"},
		{"null", "POST", path, "null", 400, "must be there"},
		{"a list", "POST", path, "[]", 400, "JSON object"},
		{"no time", "POST", path, `{"last_activity":"yesterday"}`, 400, "JSON object"},
		{"a number", "POST", path, `{"last_activity":1700000000}`, 400, "JSON object"},
		{"a user of the future", "POST", path, `{"last_activity":"` + at(2*time.Minute) + `"}`, 400, "future"},
		{"a server of the future", "POST", path, servers("b", at(2*time.Minute)), 400, "future"},
		{"no such server", "POST", path, servers("c", at(0)), 400, "no such server"},
		{"no name", "POST", path, servers("../b", at(0)), 400, "name"},
		{"half a body", "POST", path, "{", 400, ""},
		{"the user alone", "POST", path, `{"last_activity":"` + at(0) + `"}`, 200, ""},
		{"a server without a time", "POST", path, `{"servers":{"":{}}}`, 200, ""},
	})
	if got := e.reported(""); !got.IsZero() {
		t.Fatalf("a bad report is noted: %v", got)
	}
	e.calls([]call{
		{"a clock that is a little ahead", "POST", path, servers("b", at(30*time.Second)), 200, ""},
		{"an earlier time after it", "POST", path, servers("b", at(-time.Hour)), 200, ""},
	})
	if a, b := e.reported(""), e.reported("b"); time.Since(a) > time.Minute || time.Since(b) > time.Minute || time.Until(b) > 0 {
		t.Errorf("noted are %v and %v", a, b)
	}
}

// TestS12_ActivityIsOnesOwn: nobody keeps another's server alive, nor all of a user's servers with a
// token for one or for reading.
func TestS12_ActivityIsOnesOwn(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	e.old("")
	const path = "/hub/api/users/alice/activity"
	report := fmt.Sprintf(`{"servers":{"":{"last_activity":%q}}}`, time.Now().UTC().Format(time.RFC3339))
	scoped := func(scope string) []string { return []string{contract.HeaderScopes, contract.EncodeHeader(scope)} }
	for name, headers := range map[string][]string{
		"bob":                   {contract.HeaderUser, "-", contract.HeaderUser, "bob"},
		"a token for one":       scoped("servers!server=alice/"),
		"a token for reading":   scoped("read:users!user=alice"),
		"a token for entering":  scoped("access:servers!user=alice"),
		"a token without scope": {contract.HeaderScopes, ""},
		"a list's token":        append(scoped("list:users"), carol...),
	} {
		if code, _, body := e.api("POST", path, report, headers...); code != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	r := request{method: "POST", path: path, body: report, headers: []string{"Content-Type", "application/json"}}
	if code, _, body := e.read(e.send(r)); code != http.StatusForbidden || !strings.Contains(body, "_xsrf") {
		t.Errorf("a session without the form's token: %d %s", code, body)
	}
	if got := e.reported(""); !got.IsZero() {
		t.Fatalf("noted: %v", got)
	}
	for name, headers := range map[string][]string{"own scope": scoped("servers!user=alice"), "self": scoped("self"), "carol": carol} {
		if code, _, body := e.api("POST", path, report, headers...); code != http.StatusOK {
			t.Errorf("negative control, %s: %d %s", name, code, body)
		}
	}
}
