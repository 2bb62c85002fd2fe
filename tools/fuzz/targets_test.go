package main

import (
	"fmt"
	"testing"
)

func TestTargets(t *testing.T) {
	got := targets(map[string]string{
		"b/b_test.go": "package b\n\nfunc FuzzTwo(f *testing.F) {}\nfunc FuzzOne(f *testing.F) {\n}\n",
		"a/a_test.go": "package a\n\nfunc FuzzA(f *testing.F) {}\n\n// func FuzzOld(f *testing.F)\nfunc TestA(t *testing.T) {}\n",
		"a/a.go":      "package a\n\nfunc FuzzNot(f *testing.F) {}\n",
	})
	if want := "[a FuzzA b FuzzOne b FuzzTwo]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestSpurious: only a failure without an input is not one.
func TestSpurious(t *testing.T) {
	for output, want := range map[string]bool{
		"--- FAIL: FuzzA (5.01s)\n    context deadline exceeded\n":                                                                true,
		"--- FAIL: FuzzA (5.01s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzA/0123456789ab\n": false,
		"--- FAIL: FuzzA (0.01s)\n    a_test.go:7: wrong\n    Failing input written to testdata/fuzz/FuzzA/0123456789ab\n":        false,
		"failure while testing seed corpus entry: FuzzA/seed#0\n context deadline exceeded":                                       false,
		"# a\na_test.go:7: undefined: x\nFAIL a [build failed]\n":                                                                 false,
	} {
		if spurious(output) != want {
			t.Errorf("%q: %v, want %v", output, !want, want)
		}
	}
}
