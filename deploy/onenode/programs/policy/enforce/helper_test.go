package enforce

import (
	"slices"
	"strings"
)

// sortedLines makes dumps comparable whose objects were added in another order.
func sortedLines(dump string) string {
	return strings.Join(slices.Sorted(strings.Lines(dump)), "")
}
