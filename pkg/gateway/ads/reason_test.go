package ads

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const testSecret = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYm8"

// dumped is how Envoy 1.40 refuses a scope that its own rules of form forbid: the resource comes first.
const dumped = "goo.gle/debugstr    \nname: \"alice\"\nkey {\n  fragments {\n    string_key: \"alice\"\n  }\n}\n" +
	"route_configuration {\n  header {\n    key: \"x-perijove-server-secret\"\n    value: \"" + testSecret + "\"\n  }\n" +
	"  append_action: OVERWRITE_IF_EXISTS_OR_ADD\n  value {\n    [type.googleapis.com/envoy.config.route.v3.FilterConfig] {\n      disabled: true\n    }\n  }\n}\n" +
	": Proto constraint validation failed (ScopedRouteConfigurationValidationError.RouteConfiguration: embedded message failed validation | " +
	"caused by HeaderMatcherValidationError.Name: value length must be at least 1 characters)"

func TestReason(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		dumped: "Proto constraint validation failed (ScopedRouteConfigurationValidationError.RouteConfiguration: embedded message failed validation | " +
			"caused by HeaderMatcherValidationError.Name: value length must be at least 1 characters)",
		"Didn't find a registered implementation for 'unknown' with type URL: 'no.such.Message'": "Didn't find a registered implementation for 'unknown' with type URL: 'no.such.Message'",
		`bad: goo.gle/debugstr name: "alice" header { value: "` + testSecret + `" }`:             `bad: goo.gle/debugstr name: … header { value: … }`,
		`bad value "an \"escaped\" ` + testSecret:                                                "bad value …",
		"bad value '" + testSecret + "'":                                                         "bad value '…'",
		"bad \x1b[31mcolour\r\nof\xff\u202ethe line":                                             "bad [31mcolour ofthe line",
		"":                        "Envoy gave no reason",
		"\n\n":                    "Envoy gave no reason",
		strings.Repeat("ä ", 900): strings.Repeat("ä ", 200),
	} {
		if got := reason(message); got != want {
			t.Errorf("reason(%.60q) = %q, want %q", message, got, want)
		}
	}
}

// FuzzReason: whatever Envoy says around it, a server's secret does not stay and the text is one
// bounded line.
func FuzzReason(f *testing.F) {
	f.Add("bad: ", "\n: no")
	f.Add("goo.gle/debugstr \nvalue: \"", "\"\n}")
	f.Fuzz(func(t *testing.T, before, after string) {
		got := reason(before + testSecret + after)
		if strings.Contains(got, testSecret) {
			t.Errorf("the secret stays: %q", got)
		}
		if len(got) > maxReason || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not one clean line of %d bytes at most: %q", maxReason, got)
		}
	})
}
