package announce

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

func say(t *testing.T, id, text string, d time.Duration) Message {
	t.Helper()
	m, err := New(id, "carol", text, "", Info, now.Add(d), now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		english, chinese string
		level            Level
		until            time.Time
		want             error
	}{
		"good":             {"Down on Sunday", "周日停机", Warning, now.Add(time.Hour), nil},
		"one language":     {"", "周日停机", Info, now.Add(MaxAge), nil},
		"longest":          {strings.Repeat("é", MaxText), "", Info, now.Add(time.Hour), nil},
		"nothing":          {" \n\t ", "\u202e", Info, now.Add(time.Hour), ErrText},
		"too long":         {strings.Repeat("a", MaxText+1), "", Info, now.Add(time.Hour), ErrText},
		"second too long":  {"a", strings.Repeat("字", MaxText+1), Info, now.Add(time.Hour), ErrText},
		"another level":    {"a", "", "loud", now.Add(time.Hour), ErrLevel},
		"over already":     {"a", "", Info, now, ErrUntil},
		"for ever":         {"a", "", Info, now.Add(MaxAge + 1), ErrUntil},
		"no end":           {"a", "", Info, time.Time{}, ErrUntil},
		"10,000 is enough": {strings.Repeat("a", 10_000), "", Info, now.Add(time.Hour), ErrText},
	} {
		if _, err := New("1", "carol", c.english, c.chinese, c.level, c.until, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	m, err := New("1", "carol", "  two\r\nlines \u202eevil\u2066\x00 \xff", "", Info, now.Add(time.Hour), now)
	if err != nil || m.English != "two lines evil" {
		t.Errorf("%q %v", m.English, err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	both, one := Message{English: "hello", Chinese: "你好"}, Message{Chinese: "你好"}
	if both.Text("en") != "hello" || both.Text("zh-Hans") != "你好" || one.Text("en") != "你好" || (Message{English: "hello"}).Text("zh-Hans") != "hello" {
		t.Error("each reads what there is")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	l, err := List(nil).With(say(t, "short", "a", time.Minute), now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range Most - 1 {
		if l, err = l.With(say(t, string(rune('a'+i)), "b", time.Hour), now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.With(say(t, "more", "c", time.Hour), now); !errors.Is(err, ErrMany) {
		t.Errorf("one more: %v", err)
	}
	later := now.Add(time.Minute)
	if len(l.Shown(later)) != Most-1 || len(l) != Most {
		t.Error("a message ends at its time")
	}
	if l, err = l.With(say(t, "more", "c", time.Hour), later); err != nil || len(l) != Most {
		t.Errorf("after its end: %v", err)
	}
	rest, ok := l.Without("a")
	if _, again := rest.Without("a"); !ok || again || len(rest) != Most-1 {
		t.Error("a message is removed once")
	}
	text, err := rest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(text)
	if diff := cmp.Diff(rest, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// FuzzParse: nothing in the object makes pages long, or shows a message for ever.
func FuzzParse(f *testing.F) {
	f.Add(`{"messages":[{"id":"1","en":"a","level":"info","at":"2026-11-26T09:00:00Z","until":"2026-11-27T09:00:00Z"}],"other":1}`)
	f.Add(`{"messages":[{"id":"1","en":"a","level":"loud","until":"9999-11-27T09:00:00Z"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse([]byte(text))
		if err != nil {
			return
		}
		for _, m := range l {
			if len(l) > Most || len(m.English) > 4*MaxText || len(m.Chinese) > 4*MaxText || m.Until.Sub(m.At) > MaxAge {
				t.Errorf("%+v", m)
			}
		}
	})
}
