package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// Run tests an implementation. boot returns an empty cluster, set up as this package says;
// each test gets its own.
func Run(t *testing.T, boot func(t *testing.T) *Env) {
	for name, test := range map[string]func(*testing.T, *Env){
		"life of a server":                   life,
		"starting twice is starting once":    startTwice,
		"stopping what is stopped":           stopTwice,
		"a failed server is replaced":        restartAfterFailure,
		"a server that ended is replaced":    restartAfterEnd,
		"a server ends at its age":           endAtAge,
		"a start that takes too long failed": timeout,
		"a start waits for the old pod":      waitForOldPod,
		"a server restarts":                  restart,
		"a restart is one restart":           restartTwice,
		"a restart is taken back":            restartTakenBack,
		"a restart that is refused":          restartRefused,
		"a stop says when it takes longer":   slowStop,
		"watchers hear of each change":       watch,
		"lists are one user's, by name":      lists,
		"use is reported":                    reports,
		"users are those with something":     users,
		"it is known who did what":           trails,
		"other programs' pods are left":      foreignPods,
		"pods of earlier versions are known": olderPods,
		"published pods are listed":          published,
		"options are checked first":          badOptions,
		"options are kept":                   keptOptions,
		"each user has a catalog":            profiles,
		"names that are none":                badNames,
		"so many starts at a time":           limit,
		"starts wait in order":               inOrder,
		"a start that waits is taken back":   takenBack,
		"a start is refused at its turn":     refusedAtTurn,
		"quotas are judged at the turn":      quotaAtTurn,
		"so many starts of one user wait":    fullQueue,
		"slow starts hold nobody up":         slowStarts,
		"so many servers of one user":        crowd,
		"named servers are kept":             kept,
		"a quota of one user":                ownQuota,
		"a quota of users together":          sharedQuota,
		"hours of a week":                    hours,
		"a start that fails takes nothing":   failedStart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, boot(t))
		})
	}
}

func life(t *testing.T, e *Env) {
	if s := e.get(t, aliceID); s.Phase != spawn.Stopped || s.UID != "" || s.ID != aliceID {
		t.Errorf("before the start: %+v", s)
	}
	s := e.start(t, alice, "", spawn.Options{})
	if s.Phase != spawn.Pending || s.UID == "" || !s.Created.Equal(e.Clock.Now()) || len(s.Steps) == 0 {
		t.Errorf("after the start: %+v", s)
	}
	e.Change(aliceID, memory.Answer)
	if got := e.becomes(t, aliceID, spawn.Answering); got.UID != s.UID {
		t.Errorf("the server that answers is %s, not %s", got.UID, s.UID)
	}
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
		t.Errorf("stop: %v, %v", gone, err)
	}
	e.becomes(t, aliceID, spawn.Stopped)
	e.wantPods(t)
	if len(e.Homes()) != 1 {
		t.Errorf("homes after the stop: %v, want alice's", e.Homes())
	}
}

func startTwice(t *testing.T, e *Env) {
	pending := e.start(t, alice, "", spawn.Options{})
	if again := e.start(t, alice, "", spawn.Options{}); again.UID != pending.UID {
		t.Error("a server that starts was replaced")
	}
	e.Change(aliceID, memory.Answer)
	e.becomes(t, aliceID, spawn.Answering)
	if again := e.start(t, alice, "", spawn.Options{}); again.UID != pending.UID || again.Phase != spawn.Answering {
		t.Errorf("a server that answers was replaced: %+v", again)
	}
}

func stopTwice(t *testing.T, e *Env) {
	for range 2 {
		if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
			t.Errorf("stop: %v, %v", gone, err)
		}
	}
	e.start(t, alice, "", spawn.Options{})
	e.start(t, alice, "demo", spawn.Options{})
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
		t.Errorf("stop: %v, %v", gone, err)
	}
	e.wantPods(t, spawn.PodName(server.ID{User: "alice", Name: "demo"}))
}

func restartAfterFailure(t *testing.T, e *Env) {
	first := e.start(t, alice, "", spawn.Options{})
	e.Change(aliceID, memory.Fail)
	if s := e.becomes(t, aliceID, spawn.Failed); s.Now().Message != spawn.MsgImage {
		t.Errorf("failed with %+v", s.Now())
	}
	if second := e.start(t, alice, "", spawn.Options{}); second.UID == first.UID || second.Phase != spawn.Pending {
		t.Errorf("after trying again: %+v", second)
	}
	if len(e.Homes()) != 1 {
		t.Errorf("homes: %v, want alice's", e.Homes())
	}
}

func restartAfterEnd(t *testing.T, e *Env) {
	first := e.start(t, alice, "", spawn.Options{})
	e.Change(aliceID, func(pod *corev1.Pod) {
		memory.Answer(pod)
		pod.Status.Phase = corev1.PodSucceeded
	})
	e.becomes(t, aliceID, spawn.Stopped)
	if second := e.start(t, alice, "", spawn.Options{}); second.UID == first.UID || second.Phase != spawn.Pending {
		t.Errorf("after the next start: %+v", second)
	}
}

// endAtAge: Kubernetes ends a server at its age and leaves the pod. It is no failure, and a start
// replaces it.
func endAtAge(t *testing.T, e *Env) {
	first := e.start(t, bob, "", spawn.Options{Profile: "gpu"})
	e.Change(bobID, memory.Answer)
	s := e.becomes(t, bobID, spawn.Answering)
	if want := s.Created.Add(MaxAge); !s.Ends.Equal(want) {
		t.Errorf("it ends at %v, want %v", s.Ends, want)
	}
	e.Clock.Advance(MaxAge)
	e.becomes(t, bobID, spawn.Stopping)
	e.Change(bobID, memory.Age)
	if s := e.becomes(t, bobID, spawn.Stopped); len(s.Notices) != 1 || s.Notices[0].Message != spawn.MsgNoticeAge {
		t.Errorf("at its end: %+v", s)
	}
	if second := e.start(t, bob, "", spawn.Options{}); second.UID == first.UID || second.Phase != spawn.Pending {
		t.Errorf("after the next start: %+v", second)
	}
}

func timeout(t *testing.T, e *Env) {
	first := e.start(t, alice, "", spawn.Options{})
	e.Clock.Advance(StartTimeout)
	if s := e.get(t, aliceID); s.Phase != spawn.Pending {
		t.Errorf("in time: %+v", s)
	}
	e.Clock.Advance(time.Second)
	if s := e.get(t, aliceID); s.Phase != spawn.Failed {
		t.Errorf("too late: %+v", s)
	}
	if second := e.start(t, alice, "", spawn.Options{}); second.UID == first.UID || second.Phase != spawn.Pending {
		t.Errorf("after trying again: %+v", second)
	}
}

func waitForOldPod(t *testing.T, e *Env) {
	first := e.start(t, alice, "", spawn.Options{})
	e.Hold()
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, 10*time.Millisecond); gone || err != nil {
		t.Fatalf("stop: %v, %v", gone, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	impatient := *e
	impatient.Cluster = within{e.Cluster, short}
	impatient.refused(t, spawn.Request{ID: aliceID, Owner: alice}, spawn.MsgStopWait)

	result := make(chan error, 1)
	go func() { result <- e.Cluster.Start(t.Context(), spawn.Request{ID: aliceID, Owner: alice}) }()
	e.Release()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if s := e.get(t, aliceID); s.UID == first.UID || s.Phase != spawn.Pending {
		t.Errorf("after the old pod went: %+v", s)
	}
}

func slowStop(t *testing.T, e *Env) {
	e.start(t, alice, "", spawn.Options{})
	e.Hold()
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, 10*time.Millisecond); gone || err != nil {
		t.Errorf("stop: %v, %v", gone, err)
	}
	e.becomes(t, aliceID, spawn.Stopping)
	e.Release()
	e.becomes(t, aliceID, spawn.Stopped)
}

func watch(t *testing.T, e *Env) {
	changed, stop := e.Cluster.Watch(aliceID)
	other, stopOther := e.Cluster.Watch(bobID)
	defer stopOther()
	e.start(t, alice, "", spawn.Options{})
	heard(t, "the start", changed)
	e.Change(aliceID, memory.Answer)
	heard(t, "the answer", changed)
	if _, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); err != nil {
		t.Fatal(err)
	}
	heard(t, "the stop", changed)
	if len(other) != 0 {
		t.Error("bob's watcher hears of alice's server")
	}
	stop()
}

// heard waits for a change, and takes those that follow at once.
func heard(t *testing.T, what string, changed <-chan struct{}) {
	t.Helper()
	wait.Until(t, "the watcher hears of "+what, func() bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	})
}

func lists(t *testing.T, e *Env) {
	for _, name := range []string{"b", "", "a"} {
		e.start(t, alice, name, spawn.Options{})
		e.Change(server.ID{User: "alice", Name: name}, memory.Answer)
		e.becomes(t, server.ID{User: "alice", Name: name}, spawn.Answering)
	}
	e.start(t, bob, "", spawn.Options{})
	var names []string
	for _, s := range e.Cluster.List("alice") {
		names = append(names, s.ID.String())
		if s.Phase != spawn.Answering || s.UID == "" {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{"alice/", "alice/a", "alice/b"}; !slices.Equal(names, want) {
		t.Errorf("alice has %v, want %v", names, want)
	}
	if got := e.Cluster.List("carol"); len(got) != 0 {
		t.Errorf("carol has %v", got)
	}
}

func foreignPods(t *testing.T, e *Env) {
	e.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: Site().Namespace, Name: spawn.PodName(aliceID), UID: "theirs"}})
	e.refused(t, spawn.Request{ID: aliceID, Owner: alice}, spawn.MsgConflict)
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); gone || err == nil {
		t.Errorf("stop: %v, %v", gone, err)
	}
	e.wantPods(t, spawn.PodName(aliceID))
	if got := e.Cluster.List("alice"); len(got) != 0 {
		t.Errorf("alice has %v", got)
	}
}

// olderPods: KubeSpawner and earlier versions of this platform name pods alike (K1).
func olderPods(t *testing.T, e *Env) {
	older := spawn.Pod(Site(), spawn.Spec{ID: aliceID, Profile: Policy().Profiles[0], Nonce: "abcdefghijklmnopqrstuvwxyz"})
	older.Name, older.UID, older.CreationTimestamp = "jupyter-alice", "older", metav1.NewTime(e.Clock.Now())
	e.Put(older)
	e.becomes(t, aliceID, spawn.Pending)
	if s := e.start(t, alice, "", spawn.Options{}); s.UID != "older" || len(e.Cluster.List("alice")) != 1 {
		t.Errorf("started beside the older pod: %+v", s)
	}
	theirs := older.DeepCopy()
	theirs.Name, theirs.UID, theirs.Labels[contract.LabelManagedBy] = "jupyter-bob", "theirs", "kubespawner"
	e.Put(theirs)
	e.start(t, bob, "", spawn.Options{})
	for _, id := range []server.ID{aliceID, bobID} {
		if gone, err := e.Cluster.Stop(t.Context(), id, time.Second); !gone || err != nil {
			t.Errorf("stop %s: %v, %v", id, gone, err)
		}
	}
	e.wantPods(t, "jupyter-bob")
}

func badOptions(t *testing.T, e *Env) {
	for profile, user := range map[string]string{"nothing": "bob", "gpu": "alice", "LAB": "alice"} {
		r := spawn.Request{ID: server.ID{User: user}, Owner: bob, Options: spawn.Options{Profile: profile}}
		if user == "alice" {
			r.Owner = alice
		}
		e.refused(t, r, spawn.MsgProfile)
	}
	e.wantPods(t)
	if len(e.Homes()) != 0 {
		t.Errorf("homes of starts that were refused: %v", e.Homes())
	}
}

func keptOptions(t *testing.T, e *Env) {
	profile := func() (slug string) {
		t.Helper()
		e.Change(bobID, func(pod *corev1.Pod) { slug = pod.Spec.Containers[0].Image })
		return slug
	}
	e.start(t, bob, "", spawn.Options{Profile: "gpu"})
	e.Change(bobID, memory.Fail)
	e.becomes(t, bobID, spawn.Failed)
	e.start(t, bob, "", spawn.Options{})
	if got := profile(); got != "example.org/gpu:1" {
		t.Errorf("trying again gets %s", got)
	}
	e.Change(bobID, memory.Fail)
	e.becomes(t, bobID, spawn.Failed)
	e.start(t, bob, "", spawn.Options{Profile: "lab"})
	if got := profile(); got != "example.org/lab:1" {
		t.Errorf("another choice gets %s", got)
	}
	// Groups are asked of the user who starts, not of those who started before.
	e.Change(bobID, memory.Fail)
	e.becomes(t, bobID, spawn.Failed)
	e.start(t, bob, "", spawn.Options{Profile: "gpu"})
	e.Change(bobID, memory.Fail)
	e.becomes(t, bobID, spawn.Failed)
	expelled := bob
	expelled.Groups = nil
	e.refused(t, spawn.Request{ID: bobID, Owner: expelled}, spawn.MsgProfile)
}

func profiles(t *testing.T, e *Env) {
	slugs := func(c spawn.Catalog) (all []string) {
		for _, p := range c {
			all = append(all, p.Slug)
		}
		return all
	}
	if got := slugs(e.Cluster.Profiles(alice)); !slices.Equal(got, []string{"lab"}) {
		t.Errorf("alice may choose %v", got)
	}
	if got := slugs(e.Cluster.Profiles(bob)); !slices.Equal(got, []string{"lab", "gpu"}) {
		t.Errorf("bob may choose %v", got)
	}
}

func badNames(t *testing.T, e *Env) {
	for _, id := range []server.ID{{}, {User: ".."}, {User: "alice", Name: "a/b"}} {
		if err := e.Cluster.Start(t.Context(), spawn.Request{ID: id, Owner: alice}); err == nil {
			t.Errorf("%v was started", id)
		}
	}
	e.wantPods(t)
}

func limit(t *testing.T, e *Env) {
	for _, name := range []string{"a", "b", "c"} {
		e.start(t, alice, name, spawn.Options{})
	}
	if s := e.start(t, bob, "", spawn.Options{}); s.Phase != spawn.Pending || !s.Waiting || s.UID != "" || s.Now().Message != spawn.MsgQueueNext {
		t.Errorf("the start that has to wait: %+v", s)
	}
	if got := e.Cluster.List("bob"); len(got) != 1 || !got[0].Waiting {
		t.Errorf("bob's list: %+v", got)
	}
	if len(e.Homes()) != 1 {
		t.Errorf("homes %v; a start that has to wait leaves nothing behind", e.Homes())
	}
	done := server.ID{User: "alice", Name: "a"}
	e.Change(done, memory.Answer)
	e.becomes(t, done, spawn.Answering)
	e.begins(t, bobID)
}

// crowd: of a user's starts at one moment no more succeed than the user may have servers.
func crowd(t *testing.T, e *Env) {
	for i := range spawn.MaxServers - 2 {
		s := e.start(t, alice, fmt.Sprintf("s%d", i), spawn.Options{})
		e.Change(s.ID, memory.Answer)
		e.becomes(t, s.ID, spawn.Answering)
	}
	results := make(chan error, SpawnLimit)
	for i := range SpawnLimit {
		id := server.ID{User: alice.Name, Name: fmt.Sprintf("late%d", i)}
		go func() { results <- e.Cluster.Start(t.Context(), spawn.Request{ID: id, Owner: alice}) }()
	}
	started := 0
	for range SpawnLimit {
		var p *spawn.Problem
		switch err := <-results; {
		case err == nil:
			started++
		case !errors.As(err, &p) || p.Message != spawn.MsgTooMany:
			t.Errorf("a start ended with %v", err)
		}
	}
	if started != 1 {
		t.Errorf("%d servers started, and alice may have one more", started)
	}
	e.start(t, bob, "", spawn.Options{}) // another user's servers do not count
}
