package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/nodes"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/hub/spawn"
)

// crowd is a class at one site.
type crowd struct {
	name, namespace string
	site            visitor.Site
	// agent is how what starts servers calls itself to the API server.
	agent string
	// procs are those whose processor time is counted.
	procs []*rig.Proc
	// first is the number of the first person.
	first int
	// knows says that the servers know their visitor.
	knows bool
}

// person is how one fared; times are since the first one came.
type person struct {
	came, loggedIn, accepted, in time.Duration
	refused                      map[int]int
	failed                       int // starts
	fault                        string
}

// outcome is how a class fared.
type outcome struct {
	crowd
	people   []person
	pods     int // that run in the end
	requests rig.Requests
	cpu      time.Duration
}

// come lets a class log in, evenly spread over its time, and start servers.
func (b *machinery) come(ctx context.Context, c crowd, o options) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	out := outcome{crowd: c, people: make([]person, o.people)}
	before := cpu(c.procs)
	began := time.Now()
	var all sync.WaitGroup
	for i := range out.people {
		all.Go(func() {
			came := o.within * time.Duration(i) / time.Duration(o.people)
			time.Sleep(time.Until(began.Add(came)))
			out.people[i] = visit(ctx, c, rig.User(c.first+i), began)
			out.people[i].came = came
		})
	}
	all.Wait()
	ended := time.Now()
	out.cpu = cpu(c.procs) - before
	var err error
	if out.pods, err = b.running(c, o.people); err != nil {
		return out, err
	}
	if out.requests, err = b.rig.Requests(c.agent, began, ended); err != nil {
		return out, err
	}
	fmt.Fprintf(os.Stderr, "%s: %d of %d in after %.1f s, %d pods run\n", c.name, len(out.in()), o.people, ended.Sub(began).Seconds(), out.pods)
	return out, nil
}

// visit is what one person does.
func visit(ctx context.Context, c crowd, name string, began time.Time) (p person) {
	v, err := visitor.New(c.site, name)
	if err != nil {
		return person{fault: err.Error()}
	}
	defer v.Close()
	p.refused = v.Refused
	if err := p.goIn(ctx, c, v, began); err != nil {
		p.fault = fmt.Sprintf("%s: %v", name, err)
		return p
	}
	p.in = time.Since(began)
	return p
}

// goIn goes all the way to the server's page, which must name its user.
func (p *person) goIn(ctx context.Context, c crowd, v *visitor.Visitor, began time.Time) error {
	if err := v.Login(ctx, rig.Password); err != nil {
		return err
	}
	p.loggedIn = time.Since(began)
	accepted, failed, err := v.Serve(ctx)
	p.accepted, p.failed = accepted.Sub(began), failed
	if err != nil {
		return err
	}
	page, err := v.Open(ctx, "")
	if err != nil {
		return err
	}
	seenBy := ""
	if c.knows {
		seenBy = v.Name
	}
	if page != nodes.Page(v.Name, seenBy) {
		return fmt.Errorf("the page is %.200q", page)
	}
	return nil
}

// running counts the people of a class who have exactly one pod, and it runs.
func (b *machinery) running(c crowd, people int) (int, error) {
	pods, err := b.kube.Client.CoreV1().Pods(c.namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list the pods: %w", err)
	}
	count := map[string]int{}
	for _, pod := range pods.Items {
		user := pod.Annotations["hub.jupyter.org/username"] // KubeSpawner's
		if id, ok := spawn.Identify(&pod); ok {
			user = id.User
		}
		count[user]++
		if pod.Status.Phase != corev1.PodRunning {
			count[user]++ // not what it should be
		}
	}
	n := 0
	for i := range people {
		if count[rig.User(c.first+i)] == 1 {
			n++
		}
	}
	return n, nil
}

func cpu(procs []*rig.Proc) (sum time.Duration) {
	for _, p := range procs {
		sum += p.CPU()
	}
	return sum
}

// in returns those who got in.
func (o outcome) in() (all []person) {
	for _, p := range o.people {
		if p.in > 0 {
			all = append(all, p)
		}
	}
	return all
}

// refused counts the answers of a kind: 4 is 4xx; 0 is none at all.
func (o outcome) refused(kind int) (n int) {
	for _, p := range o.people {
		for status, count := range p.refused {
			if status/100 == kind {
				n += count
			}
		}
	}
	return n
}

// failed counts the starts that failed.
func (o outcome) failed() (n int) {
	for _, p := range o.people {
		n += p.failed
	}
	return n
}

// faults are those of people who did not get in.
func (o outcome) faults() string {
	var all []string
	for _, p := range o.people {
		if p.fault != "" && len(all) < 3 {
			all = append(all, p.fault)
		}
	}
	return strings.Join(all, "\n  ")
}
