package pins

import (
	"fmt"
	"strings"
)

// Pins maps a key of versions.env to its value.
type Pins map[string]string

// Parse reads KEY=value lines; blank lines and lines that begin with # are skipped.
// Quotes and variables are refused: then the shell and Go read the same value.
func Parse(text string) (Pins, error) {
	pins := Pins{}
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found || key == "" || value == "" || strings.ContainsAny(value, "\"'$` \t") {
			return nil, fmt.Errorf("line %d: want KEY=value without quotes, spaces or variables, have %q", number+1, line)
		}
		if _, twice := pins[key]; twice {
			return nil, fmt.Errorf("line %d: %s is pinned twice", number+1, key)
		}
		pins[key] = value
	}
	return pins, nil
}

// Get returns the pinned value of key, or an error that names it.
func (p Pins) Get(key string) (string, error) {
	value, ok := p[key]
	if !ok {
		return "", fmt.Errorf("%s is not pinned in deploy/versions.env", key)
	}
	return value, nil
}
