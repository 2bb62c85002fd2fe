package pool

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"time"
)

// State is what a pod of a pool is at.
type State string

// States.
const (
	Making State = "making" // it does not wait yet
	Idle   State = "idle"   // it waits for a user
	Failed State = "failed" // it will not wait
	Used   State = "used"   // it is somebody's
	Going  State = "going"  // it is being deleted
)

// States are all of them.
func States() []State { return []State{Making, Idle, Failed, Used, Going} }

// Pod is one pod of a pool.
type Pod struct {
	Name string
	// Key says what the pod is made of. Pods of one key do for the same users.
	Key     string
	State   State
	Created time.Time
	// Try is how many pods failed in a row before it.
	Try int
}

// Want is what there should be of one key.
type Want struct {
	Key string
	// Prefix and a number make the name of a pod.
	Prefix string
	Size   int
	// Busy says that servers of the pool start at this moment. A pod that is made now would take their CPU.
	Busy bool
}

// New is a pod to be made.
type New struct {
	Key, Name string
	Try       int
}

const (
	// atOnce is how many pods of a pool are made at one time: each takes a core for a second, and users'
	// servers share their nodes.
	atOnce = 4
	// firstPause and longestPause bound how long a pool waits after a pod that failed: the pause
	// doubles with each one.
	firstPause, longestPause = 10 * time.Second, 10 * time.Minute
	// settled is how old a pod is that is deleted because nobody wants its key. While the spawner is
	// upgraded two versions of it run, and each would delete at once what the other one makes.
	settled = time.Minute
)

// Pause is how long a pool waits after so many failures in a row.
func Pause(try int) time.Duration {
	pause := firstPause
	for range try {
		if pause *= 2; pause >= longestPause {
			return longestPause
		}
	}
	return pause
}

// Next returns the pods to be made and the names of those to be deleted, in this order. Used pods
// are nobody's business here. Deleting must name the version that was seen: a start may take the
// pod at the same moment.
func Next(wants []Want, pods []Pod, now time.Time) (create []New, remove []string) {
	pods = slices.SortedFunc(slices.Values(pods), func(a, b Pod) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	wanted, names := map[string]bool{}, map[string]bool{}
	for _, w := range wants {
		wanted[w.Key] = true
	}
	for _, p := range pods {
		names[p.Name] = true
		if !wanted[p.Key] && p.State != Used && p.State != Going && now.Sub(p.Created) >= settled {
			remove = append(remove, p.Name)
		}
	}
	for _, w := range wants {
		made, gone := w.next(of(pods, w.Key), names, now)
		create, remove = append(create, made...), append(remove, gone...)
	}
	return create, remove
}

// of returns the pods of one key by their state, the oldest first.
func of(pods []Pod, key string) map[State][]Pod {
	all := map[State][]Pod{}
	for _, p := range pods {
		if p.Key == key {
			all[p.State] = append(all[p.State], p)
		}
	}
	return all
}

// next is Next for one key.
func (w Want) next(have map[State][]Pod, names map[string]bool, now time.Time) (create []New, remove []string) {
	idle, making, failed := have[Idle], have[Making], have[Failed]
	// A pool of which a pod has waited is a sound one: what fails then is one node's fault.
	sound := len(idle)+len(have[Used]) > 0
	try, room := 0, w.Size-len(idle)-len(making)
	if len(failed) > 0 {
		for _, p := range failed {
			try = max(try, p.Try)
		}
		if now.Sub(failed[len(failed)-1].Created) < Pause(try) {
			// They keep their places, and an administrator finds their logs.
			room -= len(failed)
			try = 0
			if !sound {
				room = min(room, 0)
			}
		} else {
			for _, p := range failed {
				remove = append(remove, p.Name)
			}
			try++
		}
	}
	if !sound && (try > 0 || slices.ContainsFunc(making, func(p Pod) bool { return p.Try > 0 })) {
		room = min(room, 1-len(making)) // one finds out whether the others would fail
	}
	all := slices.Concat(idle, making)
	for _, p := range all[min(w.Size, len(all)):] {
		remove = append(remove, p.Name)
	}
	if w.Busy {
		return nil, remove
	}
	for range min(room, atOnce-len(making)) {
		create = append(create, New{Key: w.Key, Name: w.free(names), Try: try})
	}
	return create, remove
}

// free takes the first name that no pod has.
func (w Want) free(names map[string]bool) string {
	for i := 0; ; i++ {
		if name := w.Prefix + strconv.Itoa(i); !names[name] {
			names[name] = true
			return name
		}
	}
}

// Pick returns the idle pod of a key that a start takes, "" where there is none. taken are those that other
// starts are about to take. Each replica has an order of its own: two that choose at one moment choose
// different pods.
func Pick(pods []Pod, key, replica string, taken func(name string) bool) string {
	var best string
	var least uint64
	for _, p := range pods {
		if p.Key != key || p.State != Idle || taken(p.Name) {
			continue
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(replica + "/" + p.Name)) // it cannot fail
		if sum := h.Sum64(); best == "" || sum < least {
			best, least = p.Name, sum
		}
	}
	return best
}
