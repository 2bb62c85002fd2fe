package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/browser"
	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/line"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/steps"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/contract"
)

// lab is the path below a server's own that answers with JupyterLab's page.
const lab = "lab"

// The slow line, as of a household: bytes a second of each direction, and there and back.
const (
	width     = 10_000_000 / 8
	roundTrip = 40 * time.Millisecond
)

// Kinds of visits, in the order in which they are measured.
const (
	firstNear  = "near, first visit"
	againNear  = "near, returning"
	firstAway  = "10 Mbit/s and 40 ms, first visit"
	againAway  = "10 Mbit/s and 40 ms, returning"
	bytesOfAMB = 1_000_000
)

func kinds() []string { return []string{firstNear, againNear, firstAway, againAway} }

type visit = browser.Visit

// measure is one round. One that does not count makes the homes, and no more.
func (c *cluster) measure(ctx context.Context, one *contestant, counts bool) error {
	alone := 1
	if counts {
		alone = c.alone
	}
	for range alone {
		took, err := c.traced(ctx, one, counts)
		if err != nil {
			return err
		}
		if counts {
			one.alone = append(one.alone, took)
		}
	}
	if c.crowd > 0 {
		took, err := c.atOnce(ctx, one)
		if err != nil {
			return err
		}
		if counts {
			one.crowds = append(one.crowds, took)
		}
		fmt.Fprintf(os.Stderr, "%s: %d at once are in after %.2f s\n", one.name, c.crowd, took)
	}
	if !c.labs || !counts {
		return nil
	}
	return c.visit(ctx, one)
}

// traced starts one server alone and ends it.
func (c *cluster) traced(ctx context.Context, one *contestant, counts bool) (float64, error) {
	stop, err := one.trace.Watch(ctx, c.client, one.namespace)
	if err != nil {
		return 0, err
	}
	one.trace.Begin(counts)
	took, err := c.start(ctx, one, one.people[0])
	stop()
	one.trace.Begin(false)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "%s: the first byte comes after %.2f s\n", one.name, took.Seconds())
	return took.Seconds(), c.end(ctx, one, one.people[:1])
}

// start presses "Start", follows the progress and opens the lab, as the page does. It returns the time
// from the click to the first byte of the lab's page.
func (c *cluster) start(ctx context.Context, one *contestant, v *visitor.Visitor) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, installed.Patience)
	defer cancel()
	v.Profile = one.profile
	_, again, err := v.Serve(ctx)
	if err != nil {
		return 0, fmt.Errorf("start of %s: %w", v.Name, err)
	}
	one.trace.Note(steps.Told, v.Name)
	_, err = v.Open(ctx, lab)
	if err != nil {
		return 0, fmt.Errorf("open the server of %s: %w", v.Name, err)
	}
	if again > 0 || len(v.Refused) > 0 {
		return 0, fmt.Errorf("%s: %d starts failed, refused %v", v.Name, again, v.Refused)
	}
	one.trace.Note(steps.In, v.Name)
	if one.profile == poolSlug {
		if err := c.fromPool(ctx, v.Name); err != nil {
			return 0, err
		}
	}
	return v.FirstByte.Sub(v.Clicked), nil
}

// atOnce lets all press at one moment, and returns the time from the first click to the last first byte.
func (c *cluster) atOnce(ctx context.Context, one *contestant) (float64, error) {
	group, within := errgroup.WithContext(ctx)
	for _, v := range one.people {
		group.Go(func() error {
			_, err := c.start(within, one, v)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	first := slices.MinFunc(one.people, func(a, b *visitor.Visitor) int { return a.Clicked.Compare(b.Clicked) }).Clicked
	last := slices.MaxFunc(one.people, func(a, b *visitor.Visitor) int { return a.FirstByte.Compare(b.FirstByte) }).FirstByte
	return last.Sub(first).Seconds(), c.end(ctx, one, one.people)
}

// end stops the servers of people and waits until their pods are gone, and the pool is full again.
func (c *cluster) end(ctx context.Context, one *contestant, people []*visitor.Visitor) error {
	for _, v := range people {
		if err := one.stop(ctx, v); err != nil {
			return fmt.Errorf("stop the server of %s: %w", v.Name, err)
		}
	}
	err := c.platform.Gone(ctx, one.namespace, func(pod *corev1.Pod) bool {
		return slices.Contains(c.names(), pod.Labels[contract.LabelUsername])
	})
	if err != nil || !c.pool {
		return err
	}
	return c.full(ctx)
}

// visit comes with a new browser and with the same once more, near the site and by the slow line.
func (c *cluster) visit(ctx context.Context, one *contestant) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slow, err := line.Open(ctx, one.site.Addr, width, roundTrip)
	if err != nil {
		return err
	}
	for i, through := range []string{"", slow.Addr()} {
		b, err := browser.Open(ctx, one.site.Base, through)
		if err != nil {
			return err
		}
		err = c.twice(ctx, one, b, kinds()[2*i:2*i+2])
		b.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) twice(ctx context.Context, one *contestant, b *browser.Browser, kinds []string) error {
	v := one.people[0]
	if err := b.Login(v.Name, rig.Password); err != nil {
		return err
	}
	for _, kind := range kinds {
		came, err := b.Start(one.page, one.profile)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if one.profile == poolSlug {
			if err := c.fromPool(ctx, v.Name); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %s: usable after %.2f s, ran after %.2f s\n", one.name, kind, came.Usable.Seconds(), came.Ran.Seconds())
		one.visits[kind] = append(one.visits[kind], came)
		if err := b.Leave(); err != nil {
			return err
		}
		if err := c.forget(ctx, one, v.Name); err != nil {
			return err
		}
		if err := c.end(ctx, one, one.people[:1]); err != nil {
			return err
		}
	}
	return nil
}

// forget removes what the lab would open again: every visit begins with the launcher.
func (c *cluster) forget(ctx context.Context, one *contestant, name string) error {
	pods, err := c.client.CoreV1().Pods(one.namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.LabelUsername + "=" + name})
	if err != nil {
		return fmt.Errorf("find the pod of %s: %w", name, err)
	}
	for i := range pods.Items {
		const files = `rm -rf "$HOME"/.jupyter/lab/workspaces "$HOME"/Untitled*`
		if _, err := c.platform.Exec(ctx, one.namespace, pods.Items[i].Name, "", "sh", "-c", files); err != nil {
			return err
		}
	}
	return nil
}
