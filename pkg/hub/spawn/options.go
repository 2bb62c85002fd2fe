package spawn

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

// Options is what a user chose for a start: JupyterHub's user_options, as far as this
// platform has them. The zero value means that nothing was chosen.
type Options struct {
	// Profile is a slug; "" is the first profile that the user may choose.
	Profile string `json:"profile,omitempty"`
	// Safe starts the server without the user's own configuration and packages, for a home
	// with which it does not start any more. Files stay where they are.
	Safe bool `json:"safe,omitempty"`
}

// ParseOptions reads the JSON object that JupyterHub's REST API takes; no bytes are no
// choice. An unknown option is an error: if it were ignored, it would look granted.
func ParseOptions(data []byte) (Options, error) {
	var o Options
	if len(data) == 0 {
		return o, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil || dec.Decode(&struct{}{}) != io.EOF {
		return Options{}, errors.New(`the body must be a JSON object; its options are "profile", a text, and "safe", true or false`)
	}
	return o, nil
}

// Keep writes the options on the pod that is started with them.
func (o Options) Keep(pod *corev1.Pod) {
	data, _ := json.Marshal(o) // a text and a truth value: it cannot fail
	pod.Annotations[contract.AnnotationOptions] = string(data)
}

// OrKept returns o with what it leaves open as the pod has it, which may be nil: without a
// profile the pod's profile, and without any choice the pod's choices. So "Try again" and a
// restart ask for the same server.
func (o Options) OrKept(pod *corev1.Pod) Options {
	kept := OptionsOf(pod)
	if o == (Options{}) {
		return kept
	}
	o.Profile = cmp.Or(o.Profile, kept.Profile)
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

// Catalog is the profiles of an installation, in the order in which users see them.
type Catalog []Profile

// For returns the profiles that a user with these groups may choose.
func (c Catalog) For(groups []string) Catalog {
	var out Catalog
	for _, p := range c {
		if p.allows(groups) {
			out = append(out, p)
		}
	}
	return out
}

// Resolve returns the profile that a user with these groups gets for options. A profile
// that does not exist and one that is not allowed are the same *Problem, so a user does
// not learn which profiles other groups have.
func Resolve(c Catalog, groups []string, o Options) (Profile, error) {
	allowed := c.For(groups)
	if len(allowed) == 0 {
		return Profile{}, &Problem{Message: MsgNoProfile, Err: errors.New("no profile is open to the user's groups")}
	}
	if o.Profile == "" {
		return allowed[0], nil
	}
	slugs := make([]string, len(allowed))
	for i, p := range allowed {
		if slugs[i] = p.Slug; p.Slug == o.Profile {
			return p, nil
		}
	}
	return Profile{}, &Problem{
		Message: MsgProfile, Data: map[string]string{"Profile": o.Profile, "Profiles": strings.Join(slugs, ", ")},
		Err: errors.New("the user may not choose this profile"),
	}
}

func (p Profile) allows(groups []string) bool {
	return len(p.AllowedGroups) == 0 || access.InGroup(groups, p.AllowedGroups)
}
