package pages

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/repo"
)

var morning = time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)

// pages holds every page in every state that looks different, as "template: state".
func pages() map[string]web.Page {
	alice := web.Viewer{Name: "alice", DisplayName: "Alice Adams"}
	keycloak := web.Provider{Name: "Keycloak", URL: "/hub/oauth_login/keycloak"}
	all := map[string]web.Page{
		"login":                        web.Login{Password: true, Action: contract.PathLogin, XSRF: "x"},
		"login: wrong password":        web.Login{Password: true, Action: contract.PathLogin, XSRF: "x", Username: "alice", Error: "login.invalid"},
		"login: throttled":             web.Login{Password: true, Action: contract.PathLogin, XSRF: "x", Username: "alice", Error: "login.throttled"},
		"login: form and button":       web.Login{Password: true, Action: contract.PathLogin, XSRF: "x", Providers: []web.Provider{keycloak, {Name: "GitLab", URL: "/hub/oauth_login/gitlab"}}},
		"login: button":                web.Login{Providers: []web.Provider{keycloak}},
		"login: kept, form and button": web.Login{Password: true, Action: contract.PathLogin, XSRF: "x", Keep: web.Keep{Offered: true}, Providers: []web.Provider{keycloak}},
		"login: kept, button":          web.Login{Action: contract.PathLogin, XSRF: "x", Keep: web.Keep{Offered: true, Chosen: true}, Providers: []web.Provider{keycloak}},
		"logout":                       web.Logout{XSRF: "x"},
		"logout: done":                 web.Logout{Done: true},
		"logout: goes on":              web.Logout{Done: true, Next: &keycloak},
		"home":                         web.Home{Viewer: alice, XSRF: "x", Servers: servers(), NewURL: "/hub/new-server"},
		"home: quotas and names": web.Home{
			Viewer: alice, XSRF: "x", Servers: servers(), NewURL: "/hub/new-server", Profiles: severalProfiles(), Usage: []web.Usage{
				{Resource: "resource.servers", Data: map[string]string{"Used": "1", "Most": "2"}, Used: 1000, Most: 2000},
				{Resource: "resource.hours_per_week", Data: map[string]string{"Used": "39.5", "Most": "40"}, Used: 142200, Most: 144000},
				{Resource: "nvidia.com/gpu", Data: map[string]string{"Used": "4", "Most": "4", "Rule": "lab"}, Used: 4, Most: 4, Shared: true},
			},
		},
		"home: a bad name": web.Home{Viewer: alice, XSRF: "x", Servers: servers(), Choose: true, NewURL: "/hub/new-server", NewName: "a/b", Refused: "home.bad_name"},
		"spawn": web.Spawn{Viewer: alice, XSRF: "x", Action: "/hub/spawn", Owner: "alice", Safe: true, Profiles: []web.Profile{{
			Slug: "lab", DisplayName: "JupyterLab", Description: "Python with the usual libraries.", Image: "perijove/notebook:1", CPU: "2", Memory: "2 GiB", Storage: "1 GiB",
		}}},
		"spawn: several":          web.Spawn{Viewer: alice, XSRF: "x", Action: "/hub/spawn", Owner: "alice", Safe: true, Profiles: severalProfiles()},
		"home: homes do not last": web.Home{Viewer: alice, XSRF: "x", Servers: servers()[:1], Temporary: true},
		"spawn: the home does not last": web.Spawn{Viewer: alice, XSRF: "x", Action: "/hub/spawn", Owner: "alice", Profiles: []web.Profile{{
			Slug: "try", DisplayName: "Try", Image: "perijove/notebook:1", Storage: "1 GiB", Temporary: true,
		}}},
		"pending": web.Pending{
			Viewer: alice, XSRF: "x", Owner: "alice", Percent: 40, Now: web.Line{ID: "progress.pulling"}, Log: []web.Line{{ID: "progress.scheduled", Detail: "on node-1"}},
			ProgressURL: "/progress", ReadyURL: "/user/alice/", StopAction: "/hub/stop",
		},
		"pending: failed": web.Pending{
			Viewer: alice, XSRF: "x", Owner: "alice", Failed: true, Safe: true, Now: web.Line{ID: "failure.crash", Data: map[string]string{"Code": "1"}, Detail: "Traceback (most recent call last)"},
			Wrote: "Traceback (most recent call last):\nModuleNotFoundError: No module named 'nosuch'", WroteBefore: "before",
			Log: []web.Line{{ID: "progress.scheduled"}}, RetryAction: "/hub/spawn", ChooseURL: "/hub/spawn?choose=1", StopAction: "/hub/stop", RequestID: "3f0c",
		},
		"pending: over a quota": web.Pending{
			Viewer: alice, XSRF: "x", Owner: "alice", Failed: true, RetryAction: "/hub/spawn", Now: web.Line{
				ID: "failure.over_cpu", Next: "free.stop_at", Data: map[string]string{"Rule": "students", "Most": "8", "Used": "6", "Asked": "4", "Over": "2", "Free": "2026-11-21 18:00 UTC"},
			},
		},
		"pending: ended": web.Pending{
			Viewer: alice, XSRF: "x", Owner: "alice", Failed: true, Ended: true, Now: web.Line{ID: "notice.age", Data: map[string]string{"Age": "12 h"}}, RetryAction: "/hub/spawn",
		},
		"token": web.Token{
			Viewer: alice, XSRF: "x", Action: contract.PathToken, RevokeAction: contract.PathToken, Days: []int{1, 7, 30, 90},
			Scopes: []web.ScopeChoice{{Value: "access:servers!user=alice", Text: "token.scope_access", Checked: true}, {Value: "read:users!user=alice", Text: "token.scope_read"}},
			Tokens: []web.TokenLine{{ID: "1", Note: "laptop", Scopes: []string{"access:servers!user=alice"}, Created: morning, Expires: morning.AddDate(0, 0, 7), LastUsed: morning}, {ID: "2", Expires: morning}},
		},
		"token: made":  web.Token{Viewer: alice, XSRF: "x", Action: contract.PathToken, Days: []int{7}, Made: "hub_0123", MadeNote: "laptop"},
		"token: error": web.Token{Viewer: alice, XSRF: "x", Action: contract.PathToken, Days: []int{7}, Error: "token.bad_scopes", Note: "x", More: "y"},
		"sessions": web.Sessions{Viewer: alice, XSRF: "x", EndAction: contract.PathSessions, EndAllAction: contract.PathSessions, Sessions: []web.SessionLine{
			{ID: "1", Current: true, Since: morning, LastSeen: morning, Browser: "Firefox", System: "Linux", Address: "192.0.2.1"}, {ID: "2", Since: morning, LastSeen: morning},
		}},
		"log": web.Log{
			Viewer: alice, Owner: "alice", Server: "demo", State: web.StateFailed, Again: "/hub/log/alice", Now: "Traceback (most recent call last):\n" + strings.Repeat("x", 200), Before: "before",
			Steps: []web.Line{{ID: "progress.scheduled"}, {ID: "progress.note", Detail: "BackOff: again"}},
		},
		"log: none":      web.Log{Viewer: alice, Owner: "alice", State: web.StatePending, Again: "/hub/log/alice"},
		"log: unknown":   web.Log{Viewer: alice, Owner: "alice", State: web.StateReady, Again: "/hub/log/alice", Unknown: true},
		"delete_user":    web.DeleteUser{Viewer: alice, XSRF: "x", Action: "/hub/delete-user/bob", User: "bob", Servers: servers()},
		"sessions: none": web.Sessions{Viewer: alice, XSRF: "x"},
	}
	maps.Copy(all, adminPages())
	for _, id := range messages() {
		all["message: "+id] = web.Message{
			Status: 403, Title: "error." + id, Text: "error." + id + "_text", Data: map[string]string{"User": "alice"}, ActionURL: contract.PathHub, Action: "error.back", RequestID: "3f0c", User: "alice",
		}
	}
	return all
}

func messages() []string {
	return []string{"not_found", "nobody", "method", "unauthorized", "forbidden", "xsrf", "bad_request", "not_running", "stuck", "unavailable", "internal"}
}

func servers() []web.Server {
	var all []web.Server
	for _, s := range []web.ServerState{web.StateStopped, web.StatePending, web.StateReady, web.StateStopping, web.StateRestarting, web.StateFailed} {
		all = append(all, web.Server{Name: string(s), Title: "Übung: " + string(s), State: s, Started: morning, OpenURL: "/user/alice/", PendingURL: "/hub/spawn-pending", SpawnURL: "/hub/spawn", StopURL: "/hub/stop", Profile: "JupyterLab", LogURL: "/hub/log"})
	}
	all[2].RestartURL, all[2].Used = "/hub/restart", morning
	all[2].Meters = []web.Meter{
		{Label: "home.cpu", Text: "home.cpu_of", Words: map[string]string{"Used": "0.42", "Most": "2"}, Bounded: true, Percent: 21},
		{Label: "home.memory", Text: "home.use_of", Words: map[string]string{"Used": "3.8 GiB", "Most": "4 GiB"}, Bounded: true, Percent: 95},
	}
	all[0].DeleteURL = "/hub/delete"
	all[2].Warning = &web.Warning{Line: web.Line{ID: "warning.idle", Data: map[string]string{"Limit": "1 h"}}, At: morning, KeepURL: "/hub/keep"}
	all = append(all,
		web.Server{Name: "rstudio", Title: "rstudio", State: web.StateReady, Published: true, Started: morning, OpenURL: "/user/alice/rstudio/"},
		web.Server{Name: "hidden", Title: "hidden", State: web.StateReady, Started: morning, StopURL: "/hub/stop"})
	all[2].Home = &web.Space{Used: 32, Words: map[string]string{"Free": "6.8 GiB", "Total": "10 GiB"}}
	return append(all, web.Server{
		Home:  &web.Space{Used: 99, Low: true, Words: map[string]string{"Free": "64 MiB", "Total": "10 GiB"}},
		State: web.StateReady, OpenURL: "/user/alice/", StopURL: "/hub/stop", RestartURL: "/hub/restart", Busy: true,
		Meters: []web.Meter{{Label: "home.cpu", Text: "home.cpu_use", Words: map[string]string{"Used": "1.5"}}},
		Ends:   morning.AddDate(0, 0, 1), Notices: []web.Notice{{Line: web.Line{ID: "notice.oom", Data: map[string]string{"Limit": "2 GiB"}}, At: morning}},
	})
}

// TestEveryPageIsLookedAt: a template without a page here would escape all tests below.
func TestEveryPageIsLookedAt(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repo.Root(t), "pkg/web/templates/*.html"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".html")
		if !slices.ContainsFunc(slices.Collect(maps.Keys(pages())), func(p string) bool { return strings.Split(p, ":")[0] == name }) && name != "layout" {
			t.Errorf("no page for %s", f)
		}
	}
	texts, err := os.ReadFile(filepath.Join(repo.Root(t), "pkg/web/locales/active.en.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"error\.([a-z_]+)_text"`).FindAllStringSubmatch(string(texts), -1) {
		if title := `"error.` + m[1] + `":`; strings.Contains(string(texts), title) && !slices.Contains(messages(), m[1]) {
			t.Errorf("no page for the error %s", m[1])
		}
	}
}

// names returns the pages in order, Envoy's own included.
func names(t *testing.T) []string {
	t.Helper()
	all := slices.Collect(maps.Keys(pages()))
	for name := range edgePages(t) {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// edgePages are what Envoy says by itself, its placeholders filled in.
func edgePages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repo.Root(t), "pkg/gateway/listener/pages/*.html"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all := map[string]string{}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all["envoy: "+filepath.Base(f)] = regexp.MustCompile(`%[A-Z_]+(\([^)]*\))?%`).ReplaceAllString(string(content), "0")
		all["envoy: "+filepath.Base(f)] = strings.ReplaceAll(all["envoy: "+filepath.Base(f)], "%%", "%")
	}
	return all
}

// site serves the pages as the services do, by ?page=; the language is the browser's.
func site(t *testing.T, more map[string]string) string {
	t.Helper()
	renderer, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	renderer.Announce(func(string) []web.Announcement {
		return []web.Announcement{{Text: "The cluster is serviced on Sunday from 8:00 to 10:00. Servers are stopped then.", Warning: true}, {Text: "There is a new image."}}
	})
	all, raw := pages(), edgePages(t)
	maps.Copy(raw, more)
	mux := http.NewServeMux()
	mux.Handle("GET "+contract.PathStatic, web.Static())
	// A stream that says nothing: its page must stay as it is while it is looked at.
	mux.HandleFunc("GET /progress", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("page")
		if html, ok := raw[name]; ok {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(html))
			return
		}
		r.Header.Set("Accept-Language", r.URL.Query().Get("lang"))
		renderer.Page(w, r, http.StatusOK, all[name])
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// severalProfiles are three to choose from, the second with a list and a field to type into.
func severalProfiles() []web.Profile {
	return []web.Profile{
		{Slug: "lab", DisplayName: "JupyterLab", Description: "Python with the usual libraries.", Image: "perijove/notebook:1", CPU: "2", Memory: "2 GiB", Storage: "1 GiB"},
		{Slug: "gpu", DisplayName: "GPU", Description: "For training.", Image: "perijove/gpu:1", CPU: "8", Memory: "64 GiB", Storage: "1 GiB", Selected: true, Options: []web.Option{
			{Name: "profile-option-gpu--cards", Label: "Cards", Choices: []web.Choice{{Value: "one", Label: "One"}, {Value: "two", Label: "Two", Selected: true}}},
			{
				Name: "profile-option-gpu--image", Label: "Image", Choices: []web.Choice{{Value: "torch", Label: "PyTorch"}},
				Typed: &web.Typed{Name: "profile-option-gpu--image--unlisted-choice", Label: "Another image", Hint: "An image of nvcr.io",
					Choice: web.Choice{Value: "unlisted-choice", Label: "Another …", Selected: true}, Value: "nvcr.io/x:1"},
			},
		}},
		{Slug: "try", DisplayName: "Try", Image: "perijove/notebook:1", Storage: "1 GiB", Temporary: true},
	}
}
