// Package steps notes when servers come to the steps of their start, as a watch of their pods tells
// them and as a benchmark adds its own. It changes nothing on the cluster.
package steps

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/pkg/contract"
)

// All are what happens to a server on its way, in order; a bare pod has not all of them.
func All() []string {
	return []string{created, scheduled, network, reported, answering, Told, In}
}

const (
	created   = "pod made"
	scheduled = "scheduled"
	network   = "network there"
	reported  = "container runs"
	answering = "seen answering"
	// Told is when the progress page says that the server is ready.
	Told = "user told"
	// In is the answer that the user wanted.
	In = "answered"
)

// Trace notes when each server comes to each step, in seconds since all were started.
type Trace struct {
	mu     sync.Mutex
	counts bool // this round
	began  time.Time
	seen   map[string]map[string]bool // by step and pod, of this round
	at     map[string][]float64       // by step, of all rounds that count
}

// New returns one without rounds.
func New() *Trace {
	return &Trace{seen: map[string]map[string]bool{}, at: map[string][]float64{}}
}

// Begin starts a round, which counts or not.
func (t *Trace) Begin(counts bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts, t.began, t.seen = counts, time.Now(), map[string]map[string]bool{}
}

// Note writes down a step of a server, the first time.
func (t *Trace) Note(step, which string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen[step] == nil {
		t.seen[step] = map[string]bool{}
	}
	if t.counts && !t.seen[step][which] {
		t.seen[step][which] = true
		t.at[step] = append(t.at[step], time.Since(t.began).Seconds())
	}
}

// Watch notes the steps of a namespace's pods until ctx is done; stop waits for its end.
func (t *Trace) Watch(ctx context.Context, client kubernetes.Interface, namespace string) (stop func(), err error) {
	watch, err := client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for e := range watch.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok && pod.DeletionTimestamp == nil {
				t.look(pod)
			}
		}
	})
	return func() { watch.Stop(); all.Wait() }, nil
}

func (t *Trace) look(pod *corev1.Pod) {
	t.Note(created, pod.Name)
	for _, c := range pod.Status.Conditions {
		step, known := map[corev1.PodConditionType]string{
			corev1.PodScheduled: scheduled, corev1.PodReadyToStartContainers: network, corev1.ContainersReady: reported, contract.ConditionAnswering: answering,
		}[c.Type]
		if known && c.Status == corev1.ConditionTrue {
			t.Note(step, pod.Name)
		}
	}
}

// Table shows the median of each step, in seconds since the round began, a row for each name.
func Table(names []string, of []*Trace) string {
	t := report.Table{Header: append([]string{"median s until"}, All()...)}
	for i, name := range names {
		row := []string{name}
		for _, step := range All() {
			cell := ""
			if at := of[i].at[step]; len(at) > 0 {
				cell = report.Number(report.Median(at))
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Markdown()
}
