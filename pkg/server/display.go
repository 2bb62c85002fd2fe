package server

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// MaxDisplay bounds what a user calls a server, in characters.
const MaxDisplay = 100

// ValidDisplay reports why a server cannot be called so, or nil. Any letters do, of any script;
// control characters, which would hide the rest in a terminal or a log, do not.
func ValidDisplay(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(text):
		return errors.New("the name is no text")
	case utf8.RuneCountInString(text) > MaxDisplay:
		return errors.New("the name is too long")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.C, r) }):
		return errors.New("the name has a character that cannot be seen")
	}
	return nil
}

// NameOf returns a server's name for what its user calls it: the same where it is plain, else
// its letters and digits without accents. taken says which names are in use; such a one gets a
// number. display is valid.
func NameOf(display string, taken func(name string) bool) string {
	const longest = 40
	name := display
	if !plainName.MatchString(display) {
		plain, _, err := transform.String(transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn))), display)
		if err != nil {
			plain = ""
		}
		name = strings.Join(letters.FindAllString(strings.ToLower(plain), -1), "-")
		name = strings.Trim(name[:min(longest, len(name))], "-")
		if name == "" {
			name = "server"
		}
	}
	for n, base := 2, name; taken(name); n++ {
		name = base + "-" + strconv.Itoa(n)
	}
	return name
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$`)
	letters   = regexp.MustCompile(`[a-z0-9]+`)
)
