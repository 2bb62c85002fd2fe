package spawn

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// Program is how another program than Jupyter is reached. It speaks plain HTTP on port 8888, has no
// certificate, checks no secret, and cannot be asked whether it is in use.
type Program struct {
	// StripPrefix removes /user/<name>/ from the path, for a program that knows no base URL.
	StripPrefix bool `yaml:"strip_prefix"`
}

// keep writes on a pod what its program is.
func (p *Program) keep(pod *corev1.Pod) {
	if p == nil {
		return
	}
	pod.Annotations[contract.AnnotationProgram] = "true"
	if p.StripPrefix {
		pod.Annotations[contract.AnnotationStripPrefix] = "true"
	}
}

// IsProgram reports whether a pod's server is another program than Jupyter.
func IsProgram(pod *corev1.Pod) bool { return pod.Annotations[contract.AnnotationProgram] == "true" }

// Question is how a server is asked whether it answers.
type Question struct {
	Path string
	// Any takes any answer below 500 for one: programs redirect, or ask for a login of their own.
	Any bool
}

// QuestionOf returns the question for a pod's server. Jupyter's own does not count as use.
func QuestionOf(id server.ID, pod *corev1.Pod) Question {
	switch {
	case !IsProgram(pod):
		return Question{Path: id.Prefix() + "api"}
	case pod.Annotations[contract.AnnotationStripPrefix] == "true":
		return Question{Path: "/", Any: true}
	}
	return Question{Path: id.Prefix(), Any: true}
}
