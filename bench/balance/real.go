package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/shares"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// interval is the least time between two readings of a container's counter.
	interval = 20 * time.Second
	// workCPU and workMemory are what a user's work takes besides JupyterLab: cores and megabytes.
	workCPU    = 0.1
	workMemory = 100
)

// work is a program that keeps memory and uses the processor a part of the time.
func work() string {
	return fmt.Sprintf(`
import time
kept = b"x" * (%d << 20)
while True:
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < %v * 0.1:
        pass
    time.sleep(max(0, 0.1 - (time.monotonic() - began)))
`, workMemory, workCPU)
}

// usage is how much of a node is used, by the paper's formulas.
type usage struct {
	Servers     int
	CPU, Memory float64
}

// realStep is what was used when some users were at work, by node in the order of their names.
type realStep struct {
	Users int
	Nodes []usage
}

// realNodes are those of the platform on this machine, with users at work.
type realNodes struct {
	platform *installed.Platform
	nodes    []corev1.Node
	servers  map[string]int // by node
	// scheduler is that of the first server.
	scheduler string
	steps     []realStep
}

// measureReal starts servers one after the other, and reads how much the nodes are used.
func measureReal(ctx context.Context, o options) (r *realNodes, err error) {
	p, err := installed.Connect("", o.url)
	if err != nil {
		return nil, err
	}
	r = &realNodes{platform: p, servers: map[string]int{}}
	list, err := p.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	r.nodes = list.Items
	slices.SortFunc(r.nodes, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	var people []string
	for i := range o.users {
		people = append(people, fmt.Sprintf("balance-%d", i))
	}
	if err := p.AddPeople(ctx, people); err != nil {
		return nil, err
	}
	defer func() { //nolint:contextcheck // also after ctx has ended
		ctx, cancel := context.WithTimeout(context.Background(), installed.Patience)
		defer cancel()
		err = errors.Join(err, p.Remove(ctx, people))
	}()
	return r, r.grow(ctx, people)
}

func (r *realNodes) grow(ctx context.Context, people []string) error {
	site, err := r.platform.Site()
	if err != nil {
		return err
	}
	visitors, err := installed.LogIn(ctx, site, people)
	if err != nil {
		return err
	}
	if err := r.read(ctx, 0); err != nil {
		return err
	}
	for i, v := range visitors {
		if _, _, err := v.Serve(ctx); err != nil {
			return fmt.Errorf("start of %s: %w", v.Name, err)
		}
		if err := r.begin(ctx, v.Name); err != nil {
			return err
		}
		if err := r.read(ctx, i+1); err != nil {
			return err
		}
	}
	return nil
}

// begin lets a user's server work.
func (r *realNodes) begin(ctx context.Context, user string) error {
	name := spawn.PodName(server.ID{User: user})
	pod, err := r.platform.Client.CoreV1().Pods(installed.Servers).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the pod of %s: %w", user, err)
	}
	r.servers[pod.Spec.NodeName]++
	r.scheduler = pod.Spec.SchedulerName
	_, err = r.platform.Exec(ctx, installed.Servers, name, work(), "sh", "-c", "cat >/tmp/work.py && (nohup python3 /tmp/work.py >/dev/null 2>&1 &)")
	return err
}

// read notes how much each node is used now.
func (r *realNodes) read(ctx context.Context, users int) error {
	ctx, cancel := context.WithTimeout(ctx, installed.Patience)
	defer cancel()
	s := realStep{Users: users}
	before := make([]shares.Sample, len(r.nodes))
	for i := range r.nodes {
		if err := r.sample(ctx, i, func(s shares.Sample) bool { before[i] = s; return true }); err != nil {
			return err
		}
	}
	began := time.Now()
	for i, node := range r.nodes {
		var after shares.Sample
		if err := r.sample(ctx, i, func(s shares.Sample) bool { after = s; return readAfter(s, began.Add(interval)) }); err != nil {
			return err
		}
		cpu, cpuErr := shares.CPUUsage(before[i], after, node.Status.Capacity.Cpu().AsApproximateFloat64())
		memory, memoryErr := shares.MemoryUsage(after, node.Status.Capacity.Memory().AsApproximateFloat64())
		if err := errors.Join(cpuErr, memoryErr); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
		s.Nodes = append(s.Nodes, usage{r.servers[node.Name], cpu, memory})
	}
	fmt.Fprintf(os.Stderr, "%d users: %+v\n", users, s.Nodes)
	r.steps = append(r.steps, s)
	return nil
}

// readAfter reports whether all containers were read after a time.
func readAfter(s shares.Sample, at time.Time) bool {
	for _, c := range s {
		if c.At.Before(at) {
			return false
		}
	}
	return len(s) > 0
}

// sample asks a kubelet about its containers until the answer will do. Just after a start there is
// none of a new container yet.
func (r *realNodes) sample(ctx context.Context, node int, enough func(shares.Sample) bool) error {
	path := "/api/v1/nodes/" + r.nodes[node].Name + "/proxy/metrics/resource"
	for {
		text, err := r.platform.Client.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err == nil {
			var s shares.Sample
			if s, err = shares.Metrics(bytes.NewReader(text)); err == nil && enough(s) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ask the kubelet of %s: %w", r.nodes[node].Name, errors.Join(err, ctx.Err()))
		case <-time.After(time.Second):
		}
	}
}
