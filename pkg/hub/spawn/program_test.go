package spawn

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/server"
)

// TestQuestions: Jupyter is asked for its version, and another program for its first page, at the
// path that it sees.
func TestQuestions(t *testing.T) {
	t.Parallel()
	id := server.ID{User: "alice", Name: "my demo"}
	for name, c := range map[string]struct {
		program *Program
		want    Question
	}{
		"Jupyter":                        {nil, Question{Path: "/user/alice/my%20demo/api"}},
		"a program with a base URL":      {&Program{}, Question{Path: "/user/alice/my%20demo/", Any: true}},
		"a program that knows no prefix": {&Program{StripPrefix: true}, Question{Path: "/", Any: true}},
	} {
		pod := Pod(site, Spec{ID: id, Profile: Profile{Program: c.program}, Nonce: nonce})
		if got := QuestionOf(id, pod); got != c.want || IsProgram(pod) != (c.program != nil) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if IsProgram(&corev1.Pod{}) {
		t.Error("a pod without annotations is no program")
	}
}
