package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/steps"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// answering is the path below a server's own that Jupyter answers with its version.
const answering = "api"

// press lets everybody press Start at once, follow the progress and open their server.
func (one *contestant) press(ctx context.Context, people []*visitor.Visitor) ([]time.Duration, error) {
	began := time.Now()
	return each(ctx, len(people), func(ctx context.Context, i int) (time.Duration, error) {
		v := people[i]
		_, again, err := v.Serve(ctx)
		one.failed.Add(int64(again))
		if err != nil {
			return 0, fmt.Errorf("start of %s: %w", v.Name, err)
		}
		one.trace.Note(steps.Told, v.Name)
		if _, err := v.Open(ctx, answering); err != nil {
			return 0, fmt.Errorf("open the server of %s: %w", v.Name, err)
		}
		if len(v.Refused) > 0 {
			return 0, fmt.Errorf("%s was refused: %v", v.Name, v.Refused)
		}
		one.trace.Note(steps.In, v.Name)
		return time.Since(began), nil
	})
}

// perijove is the platform as it runs on the cluster.
func (c *cluster) perijove(ctx context.Context) (*contestant, error) {
	site, err := c.platform.Site()
	if err != nil {
		return nil, err
	}
	people, err := installed.LogIn(ctx, site, c.people())
	if err != nil {
		return nil, err
	}
	one := &contestant{name: "Perijove", namespace: servers}
	one.start, one.stop = func(ctx context.Context) ([]time.Duration, error) {
		took, err := one.press(ctx, people)
		if err == nil && c.like == nil {
			c.like, err = c.client.CoreV1().Pods(servers).Get(ctx, spawn.PodName(server.ID{User: user(0)}), metav1.GetOptions{})
		}
		return took, err
	},
		func(ctx context.Context) error {
			for _, v := range people {
				if err := v.Stop(ctx); err != nil {
					return err
				}
			}
			return c.gone(ctx, servers)
		}
	return one, nil
}
