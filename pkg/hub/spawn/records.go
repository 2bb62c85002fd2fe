package spawn

import (
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Need is what a start takes in one record.
type Need struct {
	Subject Subject
	Ask     quota.Ask
	Limits  quota.Limits
}

// Needs returns what the start of a pod takes: in the owner's record, and in those of the quotas
// that count the owner together with others. volumes are the homes that it needs, by claim, in
// bytes.
func (p Policy) Needs(owner access.User, id server.ID, pod *corev1.Pod, volumes map[string]int64) []Need {
	own := AskOf(pod, id)
	own.Volumes = volumes
	needs := []Need{{Subject: Subject{Name: id.User}, Ask: own, Limits: p.Limits(owner)}}
	shared := own
	shared.Key, shared.Named = SharedKey(id), nil
	for _, rule := range p.Shared(owner) {
		needs = append(needs, Need{Subject: Subject{Name: rule.Name, Shared: true}, Ask: shared, Limits: rule.Limits()})
	}
	return needs
}

// Take returns the record with the server in it, or a *Problem that says which quota is in the
// way and when there is room again.
func (n Need) Take(r quota.Record, now time.Time) (quota.Record, error) {
	out, err := r.Take(n.Ask, n.Limits, now)
	var refusal *quota.Refusal
	if errors.As(err, &refusal) {
		return r, overdrawn(refusal, n.Subject.Shared)
	}
	return out, err
}

// Holds returns what a pod that exists takes, in each record. A pod that ended takes nothing.
func Holds(pod *corev1.Pod, id server.ID) []Need {
	if final(pod) {
		return nil
	}
	return Counted(pod, id)
}

// Counted returns where a pod is counted, in each record, whether it runs or has ended.
func Counted(pod *corev1.Pod, id server.ID) []Need {
	own := AskOf(pod, id)
	needs := []Need{{Subject: Subject{Name: id.User}, Ask: own}}
	own.Key, own.Named = SharedKey(id), nil
	for _, rule := range countedAs(pod).Rules {
		needs = append(needs, Need{Subject: Subject{Name: rule, Shared: true}, Ask: own})
	}
	return needs
}

// Kept returns the user's servers with those that are kept without a pod and those whose start
// waits or was refused at its turn, sorted by name.
func Kept(user string, running []Server, r quota.Record) []Server {
	out := slices.Clone(running)
	names := maps.Clone(r.Named)
	if names == nil {
		names = map[string]quota.Named{}
	}
	for name := range r.Waiting {
		names[name] = quota.Named{}
	}
	for name := range names {
		id := server.ID{User: user, Name: name}
		if !slices.ContainsFunc(running, func(s Server) bool { return s.ID == id }) {
			out = append(out, Remembered(id, r))
		}
	}
	slices.SortFunc(out, func(a, b Server) int { return a.ID.Compare(b.ID) })
	return out
}

// Remembered returns a server without a pod as its owner's record knows it.
func Remembered(id server.ID, r quota.Record) Server {
	s := Server{ID: id, Status: Status{Phase: Stopped}}
	w, waits := r.Waiting[id.Name]
	if waits {
		s = remembersWait(id, w)
	}
	named, ok := r.Named[id.Name]
	s.Kept = ok
	if !ok || waits {
		return s
	}
	s.DisplayName = named.DisplayName
	if o, err := ParseOptions(named.Options); err == nil {
		s.Options = o
	}
	return s
}

// Usage is how much a user has of what a quota limits.
type Usage struct {
	quota.Usage
	// Shared says that others' servers count too.
	Shared bool
}

// Words returns what is used and what there may be, as users read it.
func (u Usage) Words() (used, most string) {
	return amountWords(u.Resource, u.Used), amountWords(u.Resource, u.Most)
}

// Known reports whether the resource has a name of its own in sentences; others have
// Kubernetes' names.
func (u Usage) Known() bool { return slices.Contains(named, u.Resource) }

// Usage returns what a user has of all that is limited. record returns a subject's record.
func (p Policy) Usage(user access.User, record func(Subject) quota.Record, now time.Time) []Usage {
	var all []Usage
	for _, u := range record(Subject{Name: user.Name}).Report(quota.Own(p.quotas, user), now) {
		all = append(all, Usage{Usage: u})
	}
	for _, rule := range p.Shared(user) {
		for _, u := range record(Subject{Name: rule.Name, Shared: true}).Report(rule.Limits(), now) {
			all = append(all, Usage{Usage: u, Shared: true})
		}
	}
	return all
}
