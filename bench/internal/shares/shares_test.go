package shares

import (
	"errors"
	"math"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func pod(requests ...string) *corev1.Pod {
	p := &corev1.Pod{}
	for i := 0; i < len(requests); i += 2 {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(requests[i]), corev1.ResourceMemory: resource.MustParse(requests[i+1]),
		}}})
	}
	return p
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestRequestsAreOfAllContainers(t *testing.T) {
	if got := Requests(pod("100m", "256Mi", "1", "1Gi")); !near(got.Cores, 1.1) || got.Memory != 1.25*(1<<30) {
		t.Errorf("%+v", got)
	}
	if got := Requests(&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{}}}}); got != (Amount{}) {
		t.Errorf("a pod that requests nothing takes %+v", got)
	}
}

func TestRange(t *testing.T) {
	all := Nodes{}
	if _, err := all.Range(); !errors.Is(err, ErrNone) {
		t.Errorf("no nodes: %v", err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := all.Add(name, Amount{Cores: 4, Memory: 100}); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range map[string]int{"a": 3, "b": 1} {
		for range n {
			if err := all.Place(name, Amount{Cores: 1, Memory: 10}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := all.Range()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Difference{3, Share{0.75, 0.3}}); r.Difference() != want {
		t.Errorf("three nodes: %+v, want %+v", r.Difference(), want)
	}
	all["c"].Closed = true // the empty one no longer counts
	if r, err = all.Range(); err != nil || r.LeastPods != 1 || !near(r.Least.CPU, 0.25) || !near(r.Difference().Share.Memory, 0.2) {
		t.Errorf("two open nodes: %+v, %v", r, err)
	}
	for _, n := range all {
		n.Closed = true
	}
	if _, err := all.Range(); !errors.Is(err, ErrNone) {
		t.Errorf("all closed: %v", err)
	}
}

func TestNodesThatCannotBe(t *testing.T) {
	all := Nodes{}
	for _, has := range []Amount{{}, {Cores: 1}, {Memory: 1}, {Cores: -1, Memory: 1}, {Cores: math.NaN(), Memory: 1}} {
		if err := all.Add("n", has); err == nil || !strings.Contains(err.Error(), "node n") {
			t.Errorf("%+v: %v", has, err)
		}
	}
	if err := all.Place("n", Amount{}); err == nil {
		t.Error("a pod was placed on a node that is not known")
	}
}

func TestMostOfTwoDifferences(t *testing.T) {
	got := Difference{2, Share{0.1, 0.5}}.Most(Difference{1, Share{0.3, 0.2}})
	if want := (Difference{2, Share{0.3, 0.5}}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
