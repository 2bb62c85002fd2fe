package hub

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/announce"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
)

// pinboard is a Board in memory.
type pinboard struct {
	mu   sync.Mutex
	list announce.List
	away error // what writing ends with
}

func (p *pinboard) Shown() announce.List {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list.Shown(time.Now())
}

func (p *pinboard) Post(_ context.Context, m announce.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil {
		return p.away
	}
	var err error
	p.list, err = p.list.With(m, time.Now())
	return err
}

func (p *pinboard) Remove(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, _ = p.list.Without(id)
	return nil
}

// message is a form as the page sends it.
func message(text string) url.Values {
	return url.Values{"en": {text}, "zh": {"周日停机"}, "level": {"warning"}, "hours": {"24"}}
}

// TestMessagesReachEverybody: on all pages, in the reader's language, in JupyterLab, until they
// are removed.
func TestMessagesReachEverybody(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	e.become("alice", memory.Answer)
	if code, to, body := e.post(pathMessages, message("Down on <b>Sunday</b>"), root()...); code != 303 || to != pathMessages {
		t.Fatalf("%d %s %s", code, to, body)
	}
	for _, path := range []string{"/hub/home", "/hub/spawn/alice/new", "/hub/nothing", "/hub/token-of-nothing"} {
		if _, _, page := e.get(path); !strings.Contains(page, "Down on &lt;b&gt;Sunday") || strings.Contains(page, "<b>") {
			t.Errorf("%s does not tell it", path)
		}
		if _, _, page := e.get(path, "Accept-Language", "zh-CN"); !strings.Contains(page, "周日停机") || strings.Contains(page, "Sunday") {
			t.Errorf("%s does not tell it in Chinese", path)
		}
	}
	if _, _, body := e.api("GET", "/hub/api/user", "", "Accept-Language", "zh"); !strings.Contains(body, `"id":"message","text":"周日停机"`) {
		t.Errorf("JupyterLab is not told: %s", body)
	}
	_, _, page := e.get(pathMessages, root()...)
	if !strings.Contains(page, "by root") {
		t.Errorf("%s", page)
	}
	if code, _, _ := e.post(pathMessages+"/remove", url.Values{"id": {e.board.Shown()[0].ID}}, root()...); code != 303 {
		t.Errorf("remove: %d", code)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "Sunday") {
		t.Error("it is still told")
	}
	logs.Audited(t, e.log.String(), telemetry.MessagePosted, telemetry.MessageRemoved)
}

// TestS13_OnlyAdministratorsSpeak: and only with the form's token.
func TestS13_OnlyAdministratorsSpeak(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post(pathMessages, message("x")); code != 403 {
		t.Errorf("a user: %d", code)
	}
	if code, _, _ := e.read(e.send(request{method: "POST", path: pathMessages, form: message("x"), headers: root()})); code != 403 {
		t.Errorf("without a token: %d", code)
	}
	if _, _, _ = e.post(pathMessages, message("x"), root()...); len(e.board.Shown()) != 1 {
		t.Error("negative control")
	}
	for path, form := range map[string]url.Values{pathMessages + "/remove": {"id": {e.board.Shown()[0].ID}}} {
		if code, _, _ := e.post(path, form); code != 403 || len(e.board.Shown()) != 1 {
			t.Errorf("%s by a user: %d", path, code)
		}
	}
}

// TestMessagesThatAreRefused: the form comes back with what was typed, and says what is wrong.
func TestMessagesThatAreRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	change := func(key, value string) url.Values {
		form := message("typed before")
		form.Set(key, value)
		return form
	}
	for name, form := range map[string]url.Values{
		"no text": {"level": {"info"}, "hours": {"24"}}, "too long": change("zh", strings.Repeat("a", 10_000)),
		"another level": change("level", "loud"), "for ever": change("hours", "999999"), "no time": change("hours", ""),
	} {
		code, _, page := e.post(pathMessages, form, root()...)
		if code != 400 || !strings.Contains(page, `role="alert"`) || name != "no text" && !strings.Contains(page, "typed before") || len(page) > 20_000 {
			t.Errorf("%s: %d, %d bytes", name, code, len(page))
		}
	}
	for range announce.Most {
		e.post(pathMessages, message("x"), root()...)
	}
	if code, _, page := e.post(pathMessages, message("one more"), root()...); code != 400 || !strings.Contains(page, "Five messages") {
		t.Errorf("one too many: %d", code)
	}
	e.board.away = errors.New("the API is away")
	if code, _, _ := e.post(pathMessages, message("x"), root()...); code != 500 {
		t.Errorf("the API is away: %d", code)
	}
}
