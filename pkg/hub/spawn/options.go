package spawn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Options is what a user chose for a start: JupyterHub's user_options, as far as this
// platform has them. The zero value means that nothing was chosen.
type Options struct {
	// Profile is a slug; "" is the default profile of those that the user may choose.
	Profile string
	// Safe starts the server without the user's own configuration and packages, for a home
	// with which it does not start any more. Files stay where they are.
	Safe bool
	// Choices are by option of the profile. As in KubeSpawner a typed value has the option's
	// name with "--unlisted-choice" behind it.
	Choices map[string]string
}

// Keys of user_options that are not names of profile_options.
const (
	keyProfile = "profile"
	keySafe    = "safe"
)

// IsZero reports whether nothing was chosen.
func (o Options) IsZero() bool { return o.Profile == "" && !o.Safe && len(o.Choices) == 0 }

// ParseOptions reads the JSON object that JupyterHub's REST API takes; no bytes are no
// choice. It does not know the profile's options: Resolve refuses names that the profile does
// not have, since an option that is ignored would look granted.
func ParseOptions(data []byte) (Options, error) {
	var o Options
	if len(data) == 0 {
		return o, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var all map[string]any
	if err := dec.Decode(&all); err != nil || dec.Decode(&struct{}{}) != io.EOF {
		return Options{}, errOptions
	}
	for key, value := range all {
		if !o.set(key, value) {
			return Options{}, errOptions
		}
	}
	return o, nil
}

var errOptions = errors.New(`the body must be a JSON object of texts: "profile", and the profile's options; and "safe", true or false`)

// set takes in one member of the object, and reports whether its value may be that.
func (o *Options) set(key string, value any) bool {
	text, isText := value.(string)
	switch key {
	case keySafe:
		safe, ok := value.(bool)
		o.Safe = safe
		return ok
	case keyProfile:
		o.Profile = text
		return isText
	}
	if text != "" {
		if o.Choices == nil {
			o.Choices = map[string]string{}
		}
		o.Choices[key] = text
	}
	return isText
}

// MarshalJSON writes the object that ParseOptions reads.
func (o Options) MarshalJSON() ([]byte, error) {
	all := map[string]any{}
	for name, value := range o.Choices {
		all[name] = value
	}
	if o.Profile != "" {
		all[keyProfile] = o.Profile
	}
	if o.Safe {
		all[keySafe] = true
	}
	return json.Marshal(all)
}

// Keep writes the options on the pod that is started with them.
func (o Options) Keep(pod *corev1.Pod) {
	data, _ := json.Marshal(o) // texts and a truth value: it cannot fail
	pod.Annotations[contract.AnnotationOptions] = string(data)
}

// OrKept returns o with what it leaves open as the pod has it, which may be nil: without a
// profile the pod's profile and choices, and without any choice all that the pod has. So "Try
// again" and a restart ask for the same server.
func (o Options) OrKept(pod *corev1.Pod) Options {
	kept := OptionsOf(pod)
	if o.IsZero() {
		return kept
	}
	if o.Profile == "" {
		o.Profile = kept.Profile
		if len(o.Choices) == 0 {
			o.Choices = kept.Choices
		}
	}
	return o
}

// OptionsOf returns what a pod, which may be nil, was started with. What another version wrote
// and this one cannot read is not chosen.
func OptionsOf(pod *corev1.Pod) Options {
	if pod == nil {
		return Options{}
	}
	kept, err := ParseOptions([]byte(pod.Annotations[contract.AnnotationOptions]))
	if err != nil {
		return Options{}
	}
	return kept
}
