package hub

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/web"
)

// withChoices is an env whose second profile has a list and a field to type into.
func withChoices(t *testing.T) *env {
	t.Helper()
	e := newEnv(t)
	e.catalog = append(e.catalog, spawn.Profile{
		DisplayName: "Big", Slug: "big", Override: spawn.Override{Image: "example.org/big:1"},
		Options: map[string]spawn.ProfileOption{
			"cards": {DisplayName: "Cards", Choices: map[string]spawn.Choice{
				"one": {DisplayName: "One"},
				"two": {DisplayName: "Two <2>", Override: spawn.Override{Environment: map[string]string{"CARDS": "2"}}},
				"all": {DisplayName: "All", AllowedGroups: []string{"staff"}, Override: spawn.Override{Environment: map[string]string{"CARDS": "8"}}},
			}},
			"image": {Choices: map[string]spawn.Choice{"base": {DisplayName: "Base"}}, Unlisted: spawn.Unlisted{
				Enabled: true, DisplayName: "Another image", ValidationRegex: `example\.org/[a-z]+:[0-9]+`, ValidationMessage: "an image of example.org",
				Override: spawn.Override{Image: "{value}"},
			}},
		},
	})
	return e
}

func TestTheFormOffersWhatTheUserMayChoose(t *testing.T) {
	t.Parallel()
	e := withChoices(t)
	_, _, form := e.get("/hub/spawn")
	for _, want := range []string{
		`name="profile" value="lab" checked`, `name="profile" value="big">`, `name="profile-option-big--cards"`, `<option value="two">Two &lt;2&gt;</option>`,
		`name="profile-option-big--image--unlisted-choice"`, `an image of example.org`,
	} {
		if !strings.Contains(form, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
	for _, hidden := range []string{"gpu", `value="all"`} { // other groups'
		if strings.Contains(form, hidden) {
			t.Errorf("the form has %s", hidden)
		}
	}
	if _, _, home := e.get("/hub/home"); !strings.Contains(home, `id="start" class="button primary" href="/hub/spawn/alice"`) {
		t.Error("the home page starts without a choice")
	}
}

// TestFactsThatDependOnAChoiceAreNotSaid: the form would show another image than the one chosen.
func TestFactsThatDependOnAChoiceAreNotSaid(t *testing.T) {
	t.Parallel()
	e := withChoices(t)
	_, _, form := e.get("/hub/spawn")
	if strings.Contains(form, "example.org/big:1") || !strings.Contains(form, "example.org/lab:1") {
		t.Errorf("the form:\n%s", form)
	}
	e.catalog[len(e.catalog)-1].Options = nil
	if _, _, form := e.get("/hub/spawn"); !strings.Contains(form, "example.org/big:1") {
		t.Errorf("negative control: without options:\n%s", form)
	}
}

func TestAChoiceIsStartedAndRemembered(t *testing.T) {
	t.Parallel()
	e := withChoices(t)
	form := url.Values{
		"profile": {"big"}, "profile-option-big--cards": {"two"},
		"profile-option-big--image": {"unlisted-choice"}, "profile-option-big--image--unlisted-choice": {"example.org/own:3"},
		"profile-option-lab--cards": {"ignored: another profile's"},
	}
	form.Set(contract.XSRFName, token)
	resp := e.send(request{method: "POST", path: "/hub/spawn/alice", form: form})
	if resp.StatusCode != http.StatusSeeOther || e.image() != "example.org/own:3" {
		t.Fatalf("%d, the server runs %s", resp.StatusCode, e.image())
	}
	var last *http.Cookie
	for _, c := range resp.Cookies() {
		if c.Name == lastChoice {
			last = c
		}
	}
	if last == nil || last.Path != "/hub/" || !last.HttpOnly || last.SameSite != http.SameSiteLaxMode {
		t.Fatalf("the choice is kept as %+v", last)
	}
	e.change("", memory.Fail)
	page := func(path string, headers ...string) string { _, _, body := e.get(path, headers...); return body }
	if body := page("/hub/spawn-pending/alice"); !strings.Contains(body, `id="choose" class="button" href="/hub/spawn/alice?choose=1"`) {
		t.Error("a failed start offers no other choice")
	}
	_, _, next := withChoices(t).get("/hub/spawn", "Cookie", lastChoice+"="+last.Value)
	for name, body := range map[string]string{"after a failure": page("/hub/spawn/alice?choose=1"), "the next time": next} {
		for _, want := range []string{`value="big" checked`, `<option value="two" selected>`, `value="example.org/own:3"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s the form does not show %s", name, want)
			}
		}
	}
}

// TestS9_ALinkPreselectsAndStartsNothing, whatever it says.
func TestS9_ALinkPreselectsAndStartsNothing(t *testing.T) {
	t.Parallel()
	e := withChoices(t)
	_, _, body := e.get("/hub/spawn?profile=big&cards=two&image--unlisted-choice=evil.org/x")
	if !strings.Contains(body, `value="big" checked`) || !strings.Contains(body, `<option value="two" selected>`) || !strings.Contains(body, `value="evil.org/x"`) {
		t.Error("the link preselects nothing")
	}
	for _, path := range []string{"/hub/spawn?profile=gpu", "/hub/spawn?profile=<script>", "/hub/spawn?profile=big&cards=all"} {
		if _, _, body := e.get(path); strings.Contains(body, "<script>") || strings.Contains(body, "gpu") || strings.Contains(body, `value="all"`) {
			t.Errorf("%s: %s", path, body)
		}
	}
	if s := e.cluster.List("alice"); len(s) != 0 {
		t.Errorf("a link started %v", s)
	}
	for _, planted := range []string{"x", "e30", strings.Repeat("A", 5000)} {
		if code, _, body := e.get("/hub/spawn", "Cookie", lastChoice+"="+planted); code != 200 || !strings.Contains(body, `value="lab" checked`) {
			t.Errorf("with the cookie %.10s: %d", planted, code)
		}
	}
}

// TestARefusedChoiceLeadsBackToTheForm: the same would be refused again.
func TestARefusedChoiceLeadsBackToTheForm(t *testing.T) {
	t.Parallel()
	e := withChoices(t)
	for _, form := range []url.Values{
		{"profile": {"big"}, "profile-option-big--cards": {"all"}},
		{"profile": {"big"}, "profile-option-big--image": {"unlisted-choice"}, "profile-option-big--image--unlisted-choice": {"evil.org/x:1"}},
		{"profile": {"gone"}},
	} {
		code, _, body := e.post("/hub/spawn/alice", form)
		if code != 400 || strings.Contains(body, `id="retry"`) || !strings.Contains(body, `href="/hub/spawn/alice?choose=1"`) {
			t.Errorf("%v: %d %s", form, code, body)
		}
	}
	// While the list says something else, what is left in the field does not count.
	if code, _, _ := e.post("/hub/spawn/alice", url.Values{"profile": {"big"}, "profile-option-big--image": {"base"}, "profile-option-big--image--unlisted-choice": {"evil.org/x:1"}}); code != 303 {
		t.Errorf("a choice of the list: %d", code)
	}
}

// BenchmarkForm: 200 profiles, rendered. It must stay below 50 ms.
func BenchmarkForm(b *testing.B) {
	var catalog spawn.Catalog
	for i := range 200 {
		catalog = append(catalog, spawn.Profile{
			DisplayName: fmt.Sprintf("Profile %d", i), Slug: fmt.Sprintf("p%d", i), AllowedGroups: []string{fmt.Sprintf("g%d", i), "staff"},
			Override: spawn.Override{Image: "example.org/x:1", MemLimit: "4G", CPULimit: "2"},
			Options:  map[string]spawn.ProfileOption{"size": {Choices: map[string]spawn.Choice{"s": {DisplayName: "S"}, "l": {DisplayName: "L"}}}},
		})
	}
	pages, err := web.New()
	if err != nil {
		b.Fatal(err)
	}
	var groups []string
	for i := range 5000 {
		groups = append(groups, fmt.Sprintf("team-%d", i))
	}
	groups = append(groups, "staff")
	for b.Loop() {
		page := web.Spawn{Viewer: web.Viewer{Name: "alice"}, Profiles: forms(catalog.For(groups), spawn.Options{})}
		if _, err := pages.HTML("en", page); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOneMoreServer: the home page leads to the form of a server with any name that can be one.
func TestOneMoreServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, _, home := e.get("/hub/home"); !strings.Contains(home, `action="/hub/new-server"`) {
		t.Error("the home page offers no further server")
	}
	for name, want := range map[string]string{
		"lab": "/hub/spawn/alice/lab", "lab 2": "/hub/spawn/alice/lab-2?display_name=lab+2", " Übung/1 ": "/hub/spawn/alice/ubung-1?display_name=%C3%9Cbung%2F1",
		"数据": "/hub/spawn/alice/server?display_name=%E6%95%B0%E6%8D%AE", "..": "/hub/spawn/alice/server?display_name=..",
		"": "", " ": "", "a\x00b": "", "a\nb": "", "a\u202eb": "", strings.Repeat("x", 500): "",
	} {
		code, to, body := e.get("/hub/new-server?name=" + url.QueryEscape(name))
		if want != "" && (code != http.StatusSeeOther || to != want) {
			t.Errorf("%q: %d to %q, want %q", name, code, to, want)
		}
		if want == "" && (code != http.StatusBadRequest || !strings.Contains(body, `id="name-fault"`)) {
			t.Errorf("%q: %d %.80s", name, code, body)
		}
	}
	if code, _, _ := e.post("/hub/spawn/alice/lab-2", url.Values{"display_name": {"lab 2"}}); code != http.StatusSeeOther {
		t.Fatalf("start: %d", code)
	}
	if code, _, body := e.get("/hub/new-server?name=lab+2"); code != http.StatusBadRequest || !strings.Contains(body, "of that name") {
		t.Errorf("a taken name: %d", code)
	}
	if _, to, _ := e.get("/hub/new-server?name=Lab+2"); to != "/hub/spawn/alice/lab-2-2?display_name=Lab+2" {
		t.Errorf("a name that differs, of which the address would not: %q", to)
	}
	if len(e.cluster.List("alice")) != 1 {
		t.Error("a link started a server")
	}
}
