package server

import (
	"strings"
	"testing"
)

func TestNameOf(t *testing.T) {
	t.Parallel()
	taken := map[string]bool{"gpu": true, "gpu-2": true, "server": true}
	for display, want := range map[string]string{
		"demo":                    "demo",
		"Run_2":                   "Run_2",
		"gpu":                     "gpu-3",
		"Übung 1/2: Größe":        "ubung-1-2-gro-e",
		"数据分析":                    "server-2",
		"../../bob":               "bob",
		"a%2Fb?c#d":               "a-2fb-c-d",
		strings.Repeat("ab ", 33): strings.TrimRight(strings.Repeat("ab-", 14)[:40], "-"),
	} {
		got := NameOf(display, func(name string) bool { return taken[name] })
		if got != want || ValidServer(got) != nil {
			t.Errorf("%q becomes %q, want %q", display, got, want)
		}
	}
}

func TestValidDisplay(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"demo": true, "Übung 1/2 <b>": true, "数据分析 🐍": true, strings.Repeat("ü", MaxDisplay): true,
		"": false, "  ": false, "a\x1b[2J": false, "a\nb": false, "a\u202eb": false, "a\u200bb": false, "\xff": false, strings.Repeat("ü", MaxDisplay+1): false,
	} {
		if err := ValidDisplay(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzNameOf(f *testing.F) {
	f.Add("Übung 1/2")
	f.Fuzz(func(t *testing.T, display string) {
		if ValidDisplay(display) != nil {
			return
		}
		if name := NameOf(display, func(string) bool { return false }); name == "" || ValidServer(name) != nil || Slug(ID{User: "u", Name: name}) == "" {
			t.Fatalf("%q becomes %q", display, name)
		}
	})
}
