package jupyter

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// identity is what JupyterLab shows of a visitor, and others see when they work together.
type identity struct{ Username, Name, Initials, Color string }

func me(t *testing.T, base, user, name string) identity {
	t.Helper()
	_, body := ask(t, "GET", base+"api/me", gateway(contract.HeaderUser, contract.EncodeHeader(user), contract.HeaderDisplayName, contract.EncodeHeader(name)))
	var got struct{ Identity identity }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return got.Identity
}

// TestVisitorsHaveNamesAndColours: a visitor has the same colour in every server, whatever the
// browser remembers of others.
func TestVisitorsHaveNamesAndColours(t *testing.T) {
	base := start(t, server.ID{User: "alice"}) + "/user/alice/"
	for _, c := range []struct{ user, name, initials, color string }{
		{"alice", "Alice Liddell", "AL", "var(--jp-collaborator-color6)"},
		{"bob", "Bob de la Motte", "BM", "var(--jp-collaborator-color3)"},
		{"张三@x.org", "张三", "张", "var(--jp-collaborator-color3)"},
		{"carol", "", "C", "var(--jp-collaborator-color6)"},
		{"dora", "   ", "D", "var(--jp-collaborator-color4)"},
	} {
		got := me(t, base, c.user, c.name)
		if got.Username != c.user || got.Initials != c.initials || got.Color != c.color {
			t.Errorf("%s: %+v", c.user, got)
		}
	}
}

// TestLogOutOfEveryServer: authz answers the page of a default server; a named server leads there by itself.
func TestLogOutOfEveryServer(t *testing.T) {
	for origin, id := range map[string]server.ID{"": {User: "alice", Name: "my demo"}, "https://hub.test": {User: "alice"}} {
		base := start(t, id, "PERIJOVE_HUB_ORIGIN="+origin) + id.Prefix()
		resp, _ := exchange(t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			"GET", base+"logout", gateway())
		if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || to != origin+"/hub/logout" {
			t.Errorf("%+v: %d to %s", id, resp.StatusCode, to)
		}
	}
}

// TestDefaultURL: a server opens where its profile says.
func TestDefaultURL(t *testing.T) {
	for want, env := range map[string][]string{"/user/alice/lab": nil, "/user/alice/lab/tree/course": {"PERIJOVE_DEFAULT_URL=/lab/tree/course"}} {
		base := start(t, server.ID{User: "alice"}, env...)
		resp, _ := exchange(t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			"GET", base+"/user/alice/", gateway())
		if to := resp.Header.Get("Location"); to != want && to != want+"?" {
			t.Errorf("it leads to %s, want %s", to, want)
		}
	}
}

// TestRestartOfAStoppedServer: JupyterLab's own dialog leads to the page where this server is
// started, also that of a named server.
func TestRestartOfAStoppedServer(t *testing.T) {
	for _, c := range []struct {
		id     server.ID
		origin string
		want   string
	}{
		{server.ID{User: "张 三@x.org"}, "", "/hub/spawn"},
		{server.ID{User: "张 三@x.org", Name: "my demo"}, "", "/hub/spawn/%E5%BC%A0%20%E4%B8%89@x.org/my%20demo"},
		{server.ID{User: "alice", Name: "demo"}, "https://hub.test", "https://hub.test/hub/spawn/alice/demo"},
	} {
		l := newLab(t, c.id, "PERIJOVE_HUB_ORIGIN="+c.origin)
		ctx := l.page(t, c.id.Prefix()+"lab")
		_ = eval[bool](t, ctx, `(window.open = url => { window.opened = new URL(url, location.href).href; }, true)`)
		l.set(`{"servers": {}}`, true)
		const dialog = `document.querySelector(".jp-Dialog")?.textContent ?? ""`
		wait.Within(t, 90*time.Second, "JupyterLab says that its server is not running", func() bool {
			return eval[bool](t, ctx, `(`+dialog+`).includes("is not running")`)
		})
		if err := chromedp.Do(ctx, chromedp.Click(`.jp-Dialog .jp-mod-accept`)); err != nil {
			t.Fatal(err)
		}
		want := c.want
		if c.origin == "" {
			want = l.origin + want
		}
		wait.Within(t, 10*time.Second, "a page is opened", func() bool { return eval[string](t, ctx, `window.opened ?? ""`) != "" })
		if got := eval[string](t, ctx, `window.opened`); got != want {
			t.Errorf("%+v: it opens %s, want %s", c.id, got, want)
		}
	}
}
