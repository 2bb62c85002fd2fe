package spawn

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[Span]time.Duration{
		"": 0, "0": 0, "0s": 0, "0.0": 0, "1m": time.Minute, "60": time.Minute, "3600": time.Hour, "3.6e+03": time.Hour, "1h30m": 90 * time.Minute,
		"90.5": 90 * time.Second, "87600h": LongestSpan, "315360000": LongestSpan,
	} {
		if got, err := text.Duration(); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []Span{"59s", "59", "0.5", "1ns", "87600h1s", "315360001", "-1h", "-60", "1d", "1 h", "soon", "NaN", "Inf", "-Inf", "1e300", "9999999h"} {
		if got, err := bad.Duration(); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
}

func FuzzSpan(f *testing.F) {
	f.Add("12h")
	f.Add("3600")
	f.Add("1e5")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := Span(text).Duration(); err == nil && d != 0 && (d < ShortestSpan || d > LongestSpan || d%time.Second != 0) {
			t.Errorf("%q is %v", text, d)
		}
	})
}

func TestSpanWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Minute: "1 min", 12 * time.Hour: "12 h", 30*time.Hour + 5*time.Second: "1 d 6 h 5 s", 90 * time.Second: "1 min 30 s",
	} {
		if got := spanWords(d); got != want {
			t.Errorf("%v in words is %q, want %q", d, got, want)
		}
	}
}

// A profile's own age goes before the installation's, and 0 takes that away.
func TestLifetimeOfProfiles(t *testing.T) {
	t.Parallel()
	var d Document
	if err := config.Decode([]byte(`
base: {image: example.org/lab:1}
max_age: 12h
profiles:
  - {display_name: A}
  - {display_name: B, max_age: 7200}
  - {display_name: C, max_age: 0, cull: {idle: 0}}
cull: {idle: 3600}
`), &d); err != nil {
		t.Fatal(err)
	}
	p, faults := d.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var ages []int64
	var idles []time.Duration
	for _, profile := range p.Profiles {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: profile, Nonce: nonce})
		age := int64(0)
		if pod.Spec.ActiveDeadlineSeconds != nil {
			age = *pod.Spec.ActiveDeadlineSeconds
		}
		ages, idles = append(ages, age), append(idles, CullAfter(pod))
	}
	if want := []int64{12 * 3600, 7200, 0}; !slices.Equal(ages, want) {
		t.Errorf("pods may be %v seconds old, want %v", ages, want)
	}
	if want := []time.Duration{time.Hour, time.Hour, 0}; !slices.Equal(idles, want) {
		t.Errorf("servers may be idle for %v, want %v", idles, want)
	}
	d.MaxAge, d.Profiles[1].MaxAge, d.Profiles[2].Cull.Idle = "1s", "soon", "59s"
	_, faults = d.Policy()
	var keys []string
	for _, fault := range faults {
		keys = append(keys, fault.Key)
	}
	if want := []string{"max_age", "profiles[1].max_age", "profiles[2].cull.idle"}; !slices.Equal(keys, want) {
		t.Errorf("faults of %v, want %v", keys, want)
	}
}

// TestEnds says when a server with a maximum age ends, and why one has ended.
func TestEnds(t *testing.T) {
	t.Parallel()
	id := server.ID{User: "alice"}
	pod := Pod(site, Spec{ID: id, Profile: Profile{Lifetime: Lifetime{MaxAge: "1h"}}, Nonce: nonce})
	began := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	pod.CreationTimestamp = metav1.NewTime(began)
	seen := func(after time.Duration) Server { return Describe(id, pod, nil, began.Add(after), time.Minute) }
	if s := seen(0); !s.Ends.IsZero() || len(s.Notices) != 0 {
		t.Errorf("before a node has taken it: %+v", s)
	}
	taken := metav1.NewTime(began.Add(5 * time.Second))
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &taken, Conditions: []corev1.PodCondition{
		Condition(pod, true), {Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
	}}
	if s := seen(time.Minute); s.Phase != Answering || !s.Ends.Equal(taken.Add(time.Hour)) || len(s.Notices) != 0 {
		t.Errorf("while it runs: %+v", s)
	}
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "DeadlineExceeded"
	s := seen(2 * time.Hour)
	if s.Phase != Stopped || !s.Ends.IsZero() || len(s.Notices) != 1 {
		t.Fatalf("at its end: %+v", s)
	}
	if n := s.Notices[0]; n.Message != MsgNoticeAge || n.Data["Age"] != "1 h" || !n.Expected || !n.At.Equal(taken.Add(time.Hour)) {
		t.Errorf("it is said that %+v", n)
	}
	pod.Annotations[contract.AnnotationCulled] = "1h30m0s"
	if n := seen(2 * time.Hour).Notices; len(n) != 1 || n[0].Message != MsgNoticeIdle || n[0].Data["Idle"] != "1 h 30 min" || !n[0].Expected {
		t.Errorf("of an idle server it is said that %+v", n)
	}
	pod.Status.Reason = "Evicted" // the negative control
	if s := seen(2 * time.Hour); s.Phase != Failed || len(s.Notices) != 0 {
		t.Errorf("an evicted server: %+v", s)
	}
}

// What another program has written on a pod is no policy of ours.
func TestOddAnnotationsCullNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"1h0m0s": time.Hour, "": 0, "soon": 0, "-1h": 0, "1s": 0, "0s": 0, "999999h": 0} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{contract.AnnotationCullIdle: text}}}
		if got := CullAfter(pod); got != want {
			t.Errorf("%q: idle for %v, want %v", text, got, want)
		}
	}
}
