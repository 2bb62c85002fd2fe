package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/deploy/images/output"
)

const publicURL = "http://localhost:8000"

// up is the command `up up`. Every step does nothing when there is nothing to do, so a
// second run is quick, and a run after a failure goes on where that one stopped.
func (u *up) up(ctx context.Context) error {
	on := u.choose(ctx)
	u.console.say("cluster", "%s", on.describe())
	if err := on.check(); err != nil {
		return err
	}
	if err := u.run(ctx, u.packages(upPackages(os.Geteuid()))); err != nil {
		return err
	}
	images, err := u.prepare(ctx, on)
	if err != nil {
		return err
	}
	if err := u.run(ctx, on.load(images)); err != nil {
		return err
	}
	kubeconfig, err := on.kubeconfig(ctx)
	if err != nil {
		return err
	}
	nodes, err := on.nodes(ctx)
	if err != nil {
		return err
	}
	if err := u.run(ctx, u.install(on, kubeconfig, images, nodes)); err != nil {
		return err
	}
	if _, remote := on.(*contextCluster); !remote {
		if err := u.run(ctx, u.answers()); err != nil {
			return err
		}
	}
	places, err := u.places(ctx, kubeconfig, nodes)
	if err != nil {
		return err
	}
	u.welcome(on, kubeconfig, places)
	return nil
}

// prepare starts the cluster and builds images and helm beside it: one waits for the
// network while another compiles.
func (u *up) prepare(ctx context.Context, on cluster) ([]output.Image, error) {
	var images []output.Image
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return u.run(ctx, on.start()) })
	group.Go(func() error { return u.run(ctx, u.imagesStep(&images)) })
	group.Go(func() error {
		return u.run(ctx, step{name: "helm", do: func(ctx context.Context, log *stepLog) (string, error) { return u.helm(ctx, log) }})
	})
	err := group.Wait()
	return images, err
}

// answers waits until a browser on this machine would see the login page.
func (u *up) answers() step {
	return step{
		name:   "answers",
		advice: "the gateway's pod is running, but this machine does not reach it; kubectl -n " + namespace + " logs deployment/" + release + "-gateway -c envoy",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			for {
				err := login(ctx)
				if err == nil {
					return publicURL + "/hub/login shows the login page", nil
				}
				fmt.Fprintln(log, err)
				select {
				case <-ctx.Done():
					return "", fmt.Errorf("no login page after a minute: %w", err)
				case <-time.After(200 * time.Millisecond):
				}
			}
		},
	}
}

func login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, publicURL+"/hub/login", nil)
	if err != nil {
		return fmt.Errorf("ask for the login page: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask for the login page: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the login page answers %s", response.Status)
	}
	return nil
}

func (u *up) welcome(on cluster, kubeconfig, places string) {
	remove := "make down"
	if u.context != "" {
		remove += " CONTEXT=" + u.context
	}
	fmt.Fprintf(u.console.out, `
Perijove is up (%s).

  %s

Log in as alice / alice-password (or bob, carol likewise; carol is the administrator),
or by the button as dora / dora-password (or emil, greta likewise; greta is one too).
%s
  %s

%s removes it.
`, seconds(time.Since(u.console.start)), publicURL, places, strings.Join(on.hints(kubeconfig), "\n  "), remove)
}

// printKubeconfig is the command `up kubeconfig`, for tests.
func (u *up) printKubeconfig(ctx context.Context) error {
	path, err := u.choose(ctx).kubeconfig(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(u.console.out, path)
	return err
}

// down is the command `up down`: everything that any way of `up` may have made on this
// machine, or the release on the context that is named.
func (u *up) down(ctx context.Context) error {
	if u.context != "" {
		return u.run(ctx, (&contextCluster{up: u}).remove())
	}
	var problems []error
	if dockerRuns(ctx) && found("kind") {
		k := &kindCluster{up: u}
		there, err := k.exists(ctx)
		if there {
			err = u.run(ctx, k.remove())
		}
		problems = append(problems, err)
	}
	return errors.Join(append(problems, u.run(ctx, (&onenode{up: u}).remove()))...)
}
