package announce

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// Most is how many messages are shown at one time.
	Most = 5
	// MaxText bounds a text in characters.
	MaxText = 500
	// MaxAge is how long a message may be shown: one that nobody removes ends by itself.
	MaxAge = 90 * 24 * time.Hour
)

// Level is how grave a message is.
type Level string

// Levels.
const (
	Info    Level = "info"
	Warning Level = "warning"
)

// Message is what an administrator says to everybody.
type Message struct {
	ID      string `json:"id"`
	English string `json:"en,omitempty"`
	Chinese string `json:"zh,omitempty"` // simplified; "" where there is only English
	Level   Level  `json:"level"`
	// At is when it was written, By by whom, Until how long it is shown.
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// Reasons why a message is not taken.
var (
	ErrText  = errors.New("a message needs a text of at most 500 characters")
	ErrLevel = errors.New("a message is of level info or warning")
	ErrUntil = errors.New("a message is shown until a moment within the next 90 days")
	ErrMany  = errors.New("as many messages are shown as fit")
)

// New returns a message, or one of the errors above.
func New(id, by, english, chinese string, level Level, until, now time.Time) (Message, error) {
	m := Message{
		ID: id, By: by, English: plain(english), Chinese: plain(chinese), Level: level,
		At: now.UTC().Truncate(time.Second), Until: until.UTC().Truncate(time.Second),
	}
	longest := max(utf8.RuneCountInString(m.English), utf8.RuneCountInString(m.Chinese))
	switch {
	case longest == 0 || longest > MaxText:
		return Message{}, ErrText
	case level != Info && level != Warning:
		return Message{}, ErrLevel
	case !until.After(now) || until.Sub(now) > MaxAge:
		return Message{}, ErrUntil
	}
	return m, nil
}

// plain is a text in one line, of valid characters that are seen.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069':
			return -1 // the last two turn the direction of what follows
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}

// Text returns the text for a language, "zh-Hans" or another; where there is one only, that one.
func (m Message) Text(language string) string {
	if m.English == "" || m.Chinese != "" && language == "zh-Hans" {
		return m.Chinese
	}
	return m.English
}

// List is all messages, latest last. A value is never changed.
type List []Message

// Shown returns the messages that are shown at a moment.
func (l List) Shown(now time.Time) List {
	return slices.DeleteFunc(slices.Clone(l), func(m Message) bool { return !now.Before(m.Until) })
}

// With returns the list with one more message, or ErrMany.
func (l List) With(m Message, now time.Time) (List, error) {
	shown := l.Shown(now)
	if len(shown) >= Most {
		return l, ErrMany
	}
	return append(shown, m), nil
}

// Without returns the list without a message; false when it is not there.
func (l List) Without(id string) (List, bool) {
	out := slices.DeleteFunc(slices.Clone(l), func(m Message) bool { return m.ID == id })
	return out, len(out) < len(l)
}

// document is a list as it is kept. Other versions may add to it.
type document struct {
	Messages List `json:"messages"`
}

// Encode returns the list as JSON.
func (l List) Encode() ([]byte, error) { return json.Marshal(document{l}) }

// Parse reads what Encode wrote. What no administrator could have written is left out: whoever may
// write the object writes nothing longer or later on everybody's pages.
func Parse(data []byte) (List, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	var all List
	for _, m := range d.Messages {
		if good, err := New(m.ID, m.By, m.English, m.Chinese, m.Level, m.Until, m.At); err == nil && len(all) < Most {
			all = append(all, good)
		}
	}
	return all, nil
}
