package hub

import (
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// image is what alice's default server is made from.
func (e *env) image() (image string) {
	e.t.Helper()
	e.change("", func(pod *corev1.Pod) { image = pod.Spec.Containers[0].Image })
	return image
}

// TestK4_GroupsDecideWhatMayBeChosen: authz says which groups a user has; what they may not
// choose does not start, and is not even named to them.
func TestK4_GroupsDecideWhatMayBeChosen(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const start = "/hub/api/users/alice/server"
	physicist := []string{contract.HeaderGroups, contract.EncodeHeaders([]string{"chess", "physics"})}
	if code, _, body := e.api("POST", start, `{"profile":"gpu"}`); code != 400 || !strings.Contains(body, "choose one of these: lab.") {
		t.Errorf("without a group: %d %s", code, body)
	}
	if code, _, _ := e.post("/hub/spawn/alice", url.Values{"profile": {"gpu"}}); code != 400 {
		t.Errorf("without a group, by the form: %d", code)
	}
	carol := append([]string{contract.HeaderUser, "-", contract.HeaderUser, "carol", contract.HeaderAdmin, "true"}, physicist...)
	if code, _, _ := e.api("POST", start, `{"profile":"gpu"}`, append(carol, contract.HeaderSubject, "alice chess")...); code != 400 {
		t.Errorf("an administrator lends alice their own groups: %d", code)
	}
	if len(e.cluster.Pods()) != 0 {
		t.Fatal("a refused request started a server")
	}
	if code, _, body := e.api("POST", start, `{"profile":"gpu"}`, physicist...); code != 202 || e.image() != "example.org/gpu:1" {
		t.Errorf("negative control, in the group: %d %s", code, body)
	}
}

// TestTryAgainKeepsTheChoice: the form of a failed server chooses nothing by itself.
func TestTryAgainKeepsTheChoice(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	physicist := []string{contract.HeaderGroups, "physics"}
	if code, _, _ := e.api("POST", "/hub/api/users/alice/server", `{"profile":"gpu"}`, physicist...); code != 202 {
		t.Fatal(code)
	}
	e.change("", memory.Fail)
	if code, _, _ := e.post("/hub/spawn/alice", nil, physicist...); code != 303 || e.image() != "example.org/gpu:1" {
		t.Errorf("try again: %d %s", code, e.image())
	}
	if code, _, _ := e.post("/hub/stop/alice", nil); code != 303 {
		t.Fatal(code)
	}
	_, _, form := e.get("/hub/spawn/alice", physicist...)
	if !strings.Contains(form, `name="profile" value="lab"`) {
		t.Errorf("the form does not choose the profile that it shows: %s", form)
	}
	if code, _, _ := e.post("/hub/spawn/alice", url.Values{"profile": {"lab"}}, physicist...); code != 303 || e.image() != "example.org/lab:1" {
		t.Errorf("the form: %d %s", code, e.image())
	}
}

// TestUserWithoutProfile: a user whose groups may start nothing is told so.
func TestUserWithoutProfile(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.catalog = e.catalog[1:]
	for _, try := range []func() (int, string, string){
		func() (int, string, string) { return e.get("/hub/spawn") },
		func() (int, string, string) { return e.post("/hub/spawn/alice", nil) },
	} {
		if code, _, body := try(); code != 403 || !strings.Contains(body, "groups may not start servers") {
			t.Errorf("%d %s", code, body)
		}
	}
}

// TestSafeStart: the form and the page of a failed server offer it; the profile stays.
func TestSafeStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	physicist := []string{contract.HeaderGroups, "physics"}
	if _, _, body := e.get("/hub/spawn/alice"); !strings.Contains(body, `name="safe"`) {
		t.Errorf("the form offers no safe start: %s", body)
	}
	if code, _, _ := e.api("POST", "/hub/api/users/alice/server", `{"profile":"gpu"}`, physicist...); code != 202 {
		t.Fatal(code)
	}
	e.change("", memory.Fail)
	if _, _, body := e.get("/hub/spawn-pending/alice"); !strings.Contains(body, `id="safe"`) {
		t.Errorf("a failed server offers no safe start: %s", body)
	}
	if code, _, _ := e.post("/hub/spawn/alice", url.Values{"safe": {"true"}}, physicist...); code != 303 {
		t.Fatal(code)
	}
	var options string
	e.change("", func(pod *corev1.Pod) { options = pod.Annotations[contract.AnnotationOptions] })
	if options != `{"profile":"gpu","safe":true}` {
		t.Errorf("started with %s", options)
	}
	e.change("", memory.Fail)
	if _, _, body := e.get("/hub/spawn-pending/alice"); strings.Contains(body, `id="safe"`) || !strings.Contains(body, `id="retry"`) {
		t.Errorf("a safe start that failed offers another: %s", body)
	}
}

// TestTemporaryHomes: no page says that files stay where they do not.
func TestTemporaryHomes(t *testing.T) {
	t.Parallel()
	kept := []string{"Your files stay", "Your files are safe", "are kept"}
	pages := func(e *env) (all string) {
		for _, path := range []string{"/hub/home", "/hub/spawn", "/hub/user/alice/"} {
			_, _, body := e.get(path)
			all += body
		}
		if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
			t.Fatal(code)
		}
		e.change("", memory.Fail)
		_, _, body := e.get("/hub/spawn-pending/alice")
		return all + body
	}
	temporary, lasting := newEnv(t), newEnv(t)
	temporary.catalog[0].Override.StorageType = "none"
	gone, stay := pages(temporary), pages(lasting)
	for _, text := range kept {
		if strings.Contains(gone, text) {
			t.Errorf("a page says %q", text)
		}
		if !strings.Contains(stay, text) {
			t.Errorf("negative control: no page says %q", text)
		}
	}
	if len(temporary.cluster.Homes()) != 0 {
		t.Errorf("volumes: %v", temporary.cluster.Homes())
	}
}
