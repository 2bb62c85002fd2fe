package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// there reads pods: "k-0 idle", "k-1 failed 2 9s" (its try and age); the key is what is before the dash.
func there(t *testing.T, text string) (pods []Pod) {
	t.Helper()
	for line := range strings.SplitSeq(text, ",") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		p := Pod{Name: words[0], Key: strings.Split(words[0], "-")[0], State: State(words[1]), Created: now.Add(-time.Hour)}
		if len(words) > 3 {
			age, err := time.ParseDuration(words[3])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(words[2], &p.Try); err != nil {
				t.Fatal(err)
			}
			p.Created = now.Add(-age)
		}
		pods = append(pods, p)
	}
	return pods
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size           int
		busy           bool
		pods           string
		create, remove string
	}{
		"an empty one is filled":                            {size: 2, create: "k-0 k-1"},
		"no more at one time than nodes bear":               {size: 9, create: "k-0 k-1 k-2 k-3"},
		"those that are made count":                         {size: 9, pods: "k-0 making,k-1 making,k-2 idle", create: "k-3 k-4"},
		"a full one":                                        {size: 2, pods: "k-0 idle,k-1 making"},
		"a used pod keeps its name, and is replaced":        {size: 2, pods: "k-0 used,k-1 idle", create: "k-2"},
		"the first free name is taken":                      {size: 3, pods: "k-0 used,k-2 idle,k-3 idle", create: "k-1"},
		"a pod that goes keeps its name":                    {size: 1, pods: "k-0 going", create: "k-1"},
		"servers that start come first":                     {size: 2, busy: true, pods: "k-0 used,k-1 used"},
		"fewer are wanted: the youngest go":                 {size: 1, pods: "k-0 idle,k-1 idle 0 1m,k-2 making 0 2m", remove: "k-1 k-2"},
		"none is wanted, used ones stay":                    {size: 0, pods: "k-0 idle,k-1 used", remove: "k-0"},
		"another key's go, used ones and young ones stay":   {size: 1, pods: "k-0 idle,old-0 idle,old-1 used,old-2 failed,old-3 going,old-4 making 0 59s", remove: "old-0 old-2"},
		"all fail: nothing is made in the pause":            {size: 3, pods: "k-0 failed 0 9s,k-1 failed 0 9s,k-2 failed 0 9s"},
		"all fail: one tries after it":                      {size: 3, pods: "k-0 failed 0 11s,k-1 failed 0 11s,k-2 failed 0 11s", create: "k-3 try 1", remove: "k-0 k-1 k-2"},
		"the others wait for the one that tries":            {size: 3, pods: "k-3 making 1 1s"},
		"it waits: the others follow":                       {size: 3, pods: "k-3 idle 1 3s", create: "k-0 k-1"},
		"it fails: the pause doubles":                       {size: 3, pods: "k-3 failed 1 19s"},
		"and then again":                                    {size: 3, pods: "k-3 failed 1 20s", create: "k-0 try 2", remove: "k-3"},
		"one node's fault: the others are made":             {size: 3, pods: "k-0 idle,k-1 failed 0 5s", create: "k-2"},
		"one node's fault: it is made anew after the pause": {size: 2, pods: "k-0 idle,k-1 failed 0 15s", create: "k-2 try 1", remove: "k-1"},
		"pods fail after some were used":                    {size: 2, pods: "k-0 used,k-1 failed 0 5s", create: "k-2"},
		"the longest pause":                                 {size: 1, pods: "k-0 failed 40 9m59s"},
		"after the longest pause":                           {size: 1, pods: "k-0 failed 40 10m", create: "k-1 try 41", remove: "k-0"},
	} {
		create, remove := Next([]Want{{Key: "k", Prefix: "k-", Size: c.size, Busy: c.busy}}, there(t, c.pods), now)
		var made []string
		for _, n := range create {
			if n.Key != "k" {
				t.Errorf("%s: %q is of another key", name, n.Key)
			}
			made = append(made, n.Name)
			if n.Try > 0 {
				made = append(made, fmt.Sprint("try ", n.Try))
			}
		}
		if got := strings.Join(made, " "); got != c.create {
			t.Errorf("%s: makes %q, want %q", name, got, c.create)
		}
		if got := strings.Join(remove, " "); got != c.remove {
			t.Errorf("%s: deletes %q, want %q", name, got, c.remove)
		}
	}
}

// TestNextComesToRest: whatever there is, a pool whose pods come to wait is full after some steps, and stays so; used pods are
// never touched.
func TestNextComesToRest(t *testing.T) {
	t.Parallel()
	states := States()
	for seed := range 3000 {
		var pods []Pod
		for i := range seed % 6 {
			pods = append(pods, Pod{Name: fmt.Sprintf("k-%d", i), Key: "k", State: states[(seed/(1+i*7))%len(states)], Created: now.Add(-time.Duration(seed%70) * time.Second)})
		}
		size, at := seed%4, now
		for step := 0; ; step++ {
			create, remove := Next([]Want{{Key: "k", Prefix: "k-", Size: size}}, pods, at)
			if len(create)+len(remove) == 0 && at.Sub(now) > time.Hour {
				break
			}
			if step > 1000 {
				t.Fatalf("seed %d: no rest: %v", seed, pods)
			}
			pods = slices.DeleteFunc(pods, func(p Pod) bool {
				if p.State == Used && slices.Contains(remove, p.Name) {
					t.Fatalf("seed %d: a used pod is deleted", seed)
				}
				return p.State == Going || slices.Contains(remove, p.Name)
			})
			for _, n := range create {
				pods = append(pods, Pod{Name: n.Name, Key: n.Key, State: Making, Created: at, Try: n.Try})
			}
			for i := range pods {
				if pods[i].State == Making {
					pods[i].State = Idle
				}
			}
			at = at.Add(time.Minute)
		}
		idle := 0
		for _, p := range pods {
			if p.State == Idle {
				idle++
			}
		}
		if idle != size {
			t.Fatalf("seed %d: %d of %d wait", seed, idle, size)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	pods := there(t, "k-0 idle,k-1 making,k-2 used,k-3 failed,k-4 idle,k-5 going,other-0 idle")
	none := func(string) bool { return false }
	first := map[string]bool{}
	for i := range 100 {
		name := Pick(pods, "k", fmt.Sprint("replica", i), none)
		if name != "k-0" && name != "k-4" {
			t.Fatalf("%q is taken", name)
		}
		first[name] = true
	}
	if len(first) != 2 {
		t.Error("all replicas would want the same pod")
	}
	if name := Pick(pods, "k", "a", func(name string) bool { return name == "k-0" }); name != "k-4" {
		t.Errorf("%q is taken; k-0 is another start's", name)
	}
	if name := Pick(pods, "k", "a", func(string) bool { return true }); name != "" {
		t.Errorf("%q is taken though all are others'", name)
	}
}
