package main

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

// steps are what happens to a server on its way, in order; a bare pod has not all of them.
func steps() []string {
	return []string{stepCreated, stepScheduled, stepReported, stepAnswering, stepTold, stepIn}
}

const (
	stepCreated   = "pod made"
	stepScheduled = "scheduled"
	stepReported  = "container runs"
	stepAnswering = "seen answering"
	stepTold      = "user told"
	stepIn        = "answered"
)

// trace notes when each server comes to each step, in seconds since all were started.
type trace struct {
	mu     sync.Mutex
	counts bool // this round
	began  time.Time
	seen   map[string]map[string]bool // by step and pod, of this round
	at     map[string][]float64       // by step, of all rounds that count
}

func newTrace() *trace { return &trace{at: map[string][]float64{}} }

// begin starts a round.
func (t *trace) begin(counts bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts, t.began, t.seen = counts, time.Now(), map[string]map[string]bool{}
}

// note writes down a step of a server, the first time.
func (t *trace) note(step, which string) {
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

// watch notes the steps of a namespace's pods until ctx is done; stop waits for its end.
func (t *trace) watch(ctx context.Context, client kubernetes.Interface, namespace string) (stop func(), err error) {
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

func (t *trace) look(pod *corev1.Pod) {
	t.note(stepCreated, pod.Name)
	for _, c := range pod.Status.Conditions {
		step, known := map[corev1.PodConditionType]string{
			corev1.PodScheduled: stepScheduled, corev1.ContainersReady: stepReported, contract.ConditionAnswering: stepAnswering,
		}[c.Type]
		if known && c.Status == corev1.ConditionTrue {
			t.note(step, pod.Name)
		}
	}
}

// traces shows the median of each step.
func traces(all []*contestant) string {
	t := report.Table{Header: append([]string{"median s until"}, steps()...)}
	for _, c := range all {
		row := []string{c.name}
		for _, step := range steps() {
			cell := ""
			if at := c.trace.at[step]; len(at) > 0 {
				cell = report.Number(report.Median(at))
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Markdown()
}
