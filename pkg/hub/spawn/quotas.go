package spawn

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Quota is how much users may have, as an administrator writes it. An amount that is not given
// has no limit; 0 allows none. What a server takes of CPU, memory and extended resources is its
// limit, or its guarantee where it has no limit.
type Quota struct {
	// Groups and Users name those that it is for; without both it is for everybody.
	Groups []string `yaml:"groups"`
	Users  []string `yaml:"users"`
	// Together counts all of them together and not each for themselves.
	Together bool `yaml:"together"`

	Servers       Amount            `yaml:"servers"`       // that run at one time; profiles have a quota_weight
	NamedServers  Amount            `yaml:"named_servers"` // kept, running or not, besides the default server
	CPU           Amount            `yaml:"cpu"`
	Memory        Memory            `yaml:"memory"`
	Extra         map[string]Amount `yaml:"extra_resources"`
	Storage       Amount            `yaml:"storage"`         // of home volumes, of stopped servers too
	HoursPerWeek  Amount            `yaml:"hours_per_week"`  // Monday to Sunday (UTC)
	HoursPerMonth Amount            `yaml:"hours_per_month"` // the calendar's (UTC)
}

const (
	// mostNamed bounds a quota of named servers: users' records have to stay small.
	mostNamed = 100
	// mostWeight bounds a profile's quota_weight.
	mostWeight = 1000

	secondsPerHour = 3600
)

// rule returns the quota in the form that is judged, and records what is wrong with it.
func (q Quota) rule(f *faults, key, name string) quota.Rule {
	r := quota.Rule{Name: name, Groups: q.Groups, Users: q.Users, Together: q.Together, Most: quota.Amounts{}}
	f.check(!nameless(q.Groups), key+".groups", "has an empty name")
	f.check(!nameless(q.Users), key+".users", "has an empty name")
	set := func(key string, to quota.Resource, a Amount, unit func(resource.Quantity) int64) {
		if a == "" {
			return
		}
		n, err := a.quantity()
		f.check(err == nil, key, "%v", err)
		r.Most[to] = unit(n)
	}
	whole := func(n resource.Quantity) int64 { return n.Value() }
	milli := func(n resource.Quantity) int64 { return thousandths(n) }
	hours := func(n resource.Quantity) int64 { return int64(n.AsApproximateFloat64() * secondsPerHour) }
	set(key+".servers", quota.Servers, q.Servers, milli)
	set(key+".named_servers", quota.NamedServers, q.NamedServers, whole)
	set(key+".cpu", quota.CPU, q.CPU, milli)
	set(key+".storage", quota.Storage, q.Storage, whole)
	set(key+".hours_per_week", quota.HoursPerWeek, q.HoursPerWeek, hours)
	set(key+".hours_per_month", quota.HoursPerMonth, q.HoursPerMonth, hours)
	for _, name := range sorted(q.Extra) {
		at := key + ".extra_resources." + name
		f.refuse(at, validation.IsQualifiedName(name))
		f.check(!slices.Contains(named, quota.Resource(name)), at, "has a key of its own")
		set(at, quota.Resource(name), q.Extra[name], whole)
	}
	if q.Memory != "" {
		n, err := q.Memory.Bytes()
		f.check(err == nil, key+".memory", "%v", err)
		r.Most[quota.Memory] = n
	}
	f.check(len(r.Most) > 0, key, "limits nothing")
	f.check(r.Most[quota.NamedServers] <= mostNamed, key+".named_servers", "must be %d at most", mostNamed)
	_, names := r.Most[quota.NamedServers]
	f.check(!names || !q.Together, key+".named_servers", "is counted for each user, not together")
	return r
}

// named are the resources that have keys of their own.
var named = []quota.Resource{
	quota.Servers, quota.NamedServers, quota.CPU, quota.Memory, quota.Storage, quota.HoursPerWeek, quota.HoursPerMonth,
}

// thousandths is MilliValue without its panic over what no int64 holds.
func thousandths(n resource.Quantity) int64 {
	if n.AsApproximateFloat64() >= math.MaxInt64/1000 {
		return math.MaxInt64
	}
	return n.MilliValue()
}

// weight is how much a server of the profile counts, in thousandths.
func (p Profile) weight() int64 {
	if p.QuotaWeight == "" {
		return quota.One
	}
	n, _ := p.QuotaWeight.quantity() // validated
	return thousandths(n)
}

func (p Profile) validateWeight(f *faults) {
	n, err := p.QuotaWeight.quantity()
	f.check(err == nil && n.CmpInt64(mostWeight) <= 0, "quota_weight", "must be a number from 0 to %d", mostWeight)
}

// MaxServers bounds how many servers a user keeps, the default one included, where no quota
// says otherwise.
const MaxServers = 10

// homesPerServer is how many homes of named servers a user may leave behind, for each server
// that the user may keep.
const homesPerServer = 2

// Limits returns what a user may have.
func (p Policy) Limits(user access.User) quota.Limits {
	limits := quota.Own(p.quotas, user)
	if _, ok := limits[quota.NamedServers]; !ok {
		limits[quota.NamedServers] = quota.Limit{Most: MaxServers - 1}
	}
	// Homes of deleted servers stay: without a bound, servers with ever new names fill the cluster (D7).
	limits[quota.Homes] = quota.Limit{Most: homesPerServer * (limits[quota.NamedServers].Most + 1)}
	return limits
}

// Shared returns the quotas under which a user is counted together with others.
func (p Policy) Shared(user access.User) []quota.Rule { return quota.Shared(p.quotas, user) }

// SharedRules returns their names, which the user's pods keep.
func (p Policy) SharedRules(user access.User) (names []string) {
	for _, rule := range p.Shared(user) {
		names = append(names, rule.Name)
	}
	return names
}

// counted is what a pod says about how it is counted.
type counted struct {
	Weight int64 `json:"weight"` // in thousandths
	// Rules are the names of the quotas that count it together with other users' servers.
	Rules []string `json:"rules,omitempty"`
}

// keep writes on the pod how it is counted, so that every spawner, whatever quotas are in force
// by then, takes it out of the same records.
func (c counted) keep(pod *corev1.Pod) {
	if c.Weight == quota.One && len(c.Rules) == 0 {
		return
	}
	data, _ := json.Marshal(c) // a number and texts: it cannot fail
	pod.Annotations[contract.AnnotationQuota] = string(data)
}

// countedAs reads what keep wrote; a pod without it is an ordinary server.
func countedAs(pod *corev1.Pod) counted {
	c := counted{Weight: quota.One}
	if err := json.Unmarshal([]byte(pod.Annotations[contract.AnnotationQuota]), &c); err != nil || c.Weight < 0 {
		return counted{Weight: quota.One}
	}
	return c
}

// AskOf returns what a pod, which may not be created yet, takes. Volumes are not in it. The key
// is the one in the user's record.
func AskOf(pod *corev1.Pod, id server.ID) quota.Ask {
	a := quota.Ask{
		Key: id.Name, Nonce: pod.Annotations[contract.AnnotationNonce], Weight: countedAs(pod).Weight, Uses: quota.Amounts{},
	}
	a.Lasts = mayAge(pod)
	if IsClaimed(pod) {
		a.Pod = pod.Name
	}
	for _, c := range pod.Spec.Containers {
		for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
			for name, n := range list {
				if !n.IsZero() {
					a.Uses[quota.Resource(name)] = amount(name, n)
				}
			}
		}
	}
	if id.Name != "" {
		a.Named = &quota.Named{DisplayName: pod.Annotations[contract.AnnotationDisplayName], Created: Began(pod)}
		// What is no JSON would keep the whole record from being written.
		if kept := pod.Annotations[contract.AnnotationOptions]; json.Valid([]byte(kept)) {
			a.Named.Options = json.RawMessage(kept)
		}
	}
	return a
}

// amount is a pod's amount of a resource in the unit in which it is counted.
func amount(name corev1.ResourceName, n resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return thousandths(n)
	}
	return n.Value()
}

// SharedKey is the key of a server in a record that many users share: no user's name has a slash.
func SharedKey(id server.ID) string { return id.String() }

// ParseSharedKey returns the server of a SharedKey.
func ParseSharedKey(key string) server.ID {
	user, name, _ := strings.Cut(key, "/")
	return server.ID{User: user, Name: name}
}

// Subject is whose record it is: a user's, or that of a quota that counts users together.
type Subject struct {
	Name   string
	Shared bool
}

// RecordName is the name of the object that holds a subject's record.
func (s Subject) RecordName() string {
	if s.Shared {
		return recordShared + server.UserSlug(s.Name)
	}
	return recordUser + server.UserSlug(s.Name)
}

const (
	recordPrefix = "usage."
	recordShared = recordPrefix + "quota."
	recordUser   = recordPrefix + "user."
)

// RecordSubject returns whose record an object of this name and content is; false for one that is
// no record.
func RecordSubject(name string, data []byte) (Subject, bool) {
	var r struct {
		Subject string `json:"subject"`
	}
	if json.Unmarshal(data, &r) != nil {
		return Subject{}, false
	}
	s := Subject{Name: r.Subject, Shared: strings.HasPrefix(name, recordShared)}
	return s, s.RecordName() == name
}

// overdrawn turns a quota's refusal into words for the user. Other users' servers are not named.
func overdrawn(r *quota.Refusal, shared bool) *Problem {
	if r.Resource == quota.NamedServers {
		return &Problem{Message: MsgTooMany, Data: map[string]string{"Limit": strconv.FormatInt(r.Most+1, 10)}, Err: r}
	}
	if r.Resource == quota.Homes {
		return &Problem{Message: MsgTooManyHomes, Data: map[string]string{"Limit": strconv.FormatInt(r.Most, 10)}, Err: r}
	}
	message := map[quota.Resource]Message{
		quota.Servers: MsgOverServers, quota.CPU: MsgOverCPU, quota.Memory: MsgOverMemory, quota.Storage: MsgOverStorage,
		quota.HoursPerWeek: MsgOverWeek, quota.HoursPerMonth: MsgOverMonth,
	}[r.Resource]
	amount := func(n int64) string { return amountWords(r.Resource, n) }
	p := &Problem{Message: cmp.Or(message, MsgOverExtra), Next: next(r, shared), Err: r, Data: map[string]string{
		"Rule": r.Rule, "Resource": string(r.Resource),
		"Most": amount(r.Most), "Used": amount(r.Used), "Asked": amount(r.Asked), "Over": amount(r.Used + r.Asked - r.Most),
	}}
	if !r.Free.IsZero() {
		p.Data["Free"] = r.Free.UTC().Format("2006-01-02 15:04 UTC")
	}
	return p
}

// amountWords is an amount in its resource's unit as users read it.
func amountWords(resource quota.Resource, n int64) string {
	switch resource {
	case quota.Servers, quota.CPU:
		return strconv.FormatFloat(float64(n)/quota.One, 'f', -1, 64)
	case quota.Memory, quota.Storage:
		return words(n)
	case quota.HoursPerWeek, quota.HoursPerMonth:
		const tenths = 10
		return strconv.FormatFloat(math.Round(tenths*float64(n)/secondsPerHour)/tenths, 'f', -1, 64)
	}
	return strconv.FormatInt(n, 10)
}

// next is the sentence that says when there is room again.
func next(r *quota.Refusal, shared bool) Message {
	switch {
	case r.Resource == quota.HoursPerWeek || r.Resource == quota.HoursPerMonth:
		return MsgFreeAt
	case r.Resource == quota.Storage:
		return MsgFreeStorage
	case r.Asked > r.Most:
		return MsgFreeSmaller
	case shared && r.Free.IsZero():
		return MsgFreeOthers
	case shared:
		return MsgFreeOthersAt
	case r.Free.IsZero():
		return MsgFreeStop
	}
	return MsgFreeStopAt
}
