package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/ab"
	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	nameAlone = "JupyterLab alone"
	nameHub   = "JupyterHub"

	// password is the user's in the development directory.
	password = user + "-password"
	// token opens the JupyterLab that is alone.
	token = "of-a-benchmark-on-one-machine"
	port  = "8888"
	// html is what a browser accepts for a page.
	html = "Accept: text/html"
)

// jupyter is the command of a JupyterLab that no platform has set up.
func jupyter(token string) []string {
	return []string{"jupyter", "lab", "--ip=0.0.0.0", "--port=" + port, "--no-browser", "--ServerApp.base_url=" + base, "--IdentityProvider.token=" + token}
}

// contestants are all, in the order of a round.
func (c *cluster) contestants(ctx context.Context, r *rig.Rig) ([]*contestant, error) {
	ours, err := c.perijove(ctx)
	if err != nil {
		return nil, err
	}
	alone, err := c.jupyterLab(ctx)
	if err != nil {
		return nil, err
	}
	all := []*contestant{alone}
	if c.peer {
		hub, err := c.jupyterHub(ctx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, hub)
	}
	return append(all, ours...), nil
}

// always is what takes every turn as it is.
func always(context.Context) error { return nil }

// jupyterLab is one alone: its image, its resources, and nothing in front of it.
func (c *cluster) jupyterLab(ctx context.Context) (*contestant, error) {
	pod, err := c.pod(ctx, "alone", jupyter(token))
	if err != nil {
		return nil, err
	}
	s := site{address: "http://" + pod.Status.PodIP + ":" + port, headers: []string{"Authorization: token " + token}}
	err = c.poll(ctx, "JupyterLab alone", func() (bool, error) {
		_, err := fetch(ctx, s.page(base+"api"))
		return err == nil, err
	})
	return &contestant{name: nameAlone, turn: always, rest: func() {}, pages: map[page]func(context.Context) (ab.Target, error){
		pageServer: func(context.Context) (ab.Target, error) { return s.page(base + "api"), nil },
		pageStatic: s.static,
	}}, err
}

func (c *cluster) notebook() corev1.Container { return c.like.Spec.Containers[0] }

// jupyterHub runs hub and proxy as processes of the machine, and the user's server as a pod. The
// server asks the hub about nobody, as jupyterhub-singleuser would.
func (c *cluster) jupyterHub(ctx context.Context, r *rig.Rig) (*contestant, error) {
	resources := c.notebook().Resources
	r.Front = c.like.Status.HostIP
	hub, err := r.StartJupyterHub("jupyterhub", c.kubeconfig, rig.Traits{
		"JupyterHub": {"authenticator_class": "dummy"}, "DummyAuthenticator": {"allow_all": true},
		"KubeSpawner": {
			"namespace": apart, "image": c.notebook().Image, "image_pull_policy": "IfNotPresent", "port": 8888, "cmd": jupyter(""), "start_timeout": 300, //nolint:mnd // seconds
			"cpu_guarantee": resources.Requests.Cpu().AsApproximateFloat64(), "cpu_limit": resources.Limits.Cpu().AsApproximateFloat64(),
			"mem_guarantee": resources.Requests.Memory().Value(), "mem_limit": resources.Limits.Memory().Value(),
		},
	})
	if err != nil {
		return nil, err
	}
	s := site{address: "http://" + hub.Addr}
	if _, err := started(ctx, visitor.Site{Base: s.address, Addr: hub.Addr, Click: time.Second}); err != nil {
		return nil, err
	}
	one := &contestant{
		name: nameHub,
		turn: func(context.Context) error { hub.Proxy.Resume(); hub.Hub.Resume(); return nil },
		rest: func() { hub.Hub.Pause(); hub.Proxy.Pause() },
		pages: map[page]func(context.Context) (ab.Target, error){
			pageLogin:  func(context.Context) (ab.Target, error) { return s.page(contract.PathLogin, html), nil },
			pageStyle:  s.style,
			pageHub:    func(context.Context) (ab.Target, error) { return s.page(contract.PathAPI + "/"), nil },
			pageServer: func(context.Context) (ab.Target, error) { return s.page(base + "api"), nil },
			pageStatic: s.static,
		},
	}
	one.rest()
	return one, nil
}

// client starts the pod in whose network ApacheBench runs, and returns the file of its namespace.
// From the node itself kube-proxy would hide each connection to the Service behind a random port
// of the node's, and now and then behind one whose last connection the gateway still remembers:
// it would then ignore the first packet, and the client send it again a second later.
func (c *cluster) client(ctx context.Context) (string, error) {
	pod, err := c.pod(ctx, "client", []string{"sleep", "infinity"})
	if err != nil {
		return "", err
	}
	var file string
	err = c.poll(ctx, "a process of the client's pod", func() (bool, error) {
		groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
		if err != nil {
			return false, err
		}
		for _, group := range groups {
			if text, err := os.ReadFile(group); err == nil && strings.Contains(string(text), "pod"+string(pod.UID)) {
				file = filepath.Join(filepath.Dir(group), "ns", "net")
				return true, nil
			}
		}
		return false, nil
	})
	return file, err
}

// pod runs a command in the server's image with the server's resources, and waits for its address.
func (c *cluster) pod(ctx context.Context, name string, command []string) (*corev1.Pod, error) {
	pods := c.kube.CoreV1().Pods(apart)
	pod, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: apart, Name: name}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64), // sleep takes no notice of being asked
		Containers: []corev1.Container{{
			Name: "notebook", Image: c.notebook().Image, ImagePullPolicy: corev1.PullIfNotPresent, Command: command, Resources: c.notebook().Resources,
		}},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make a pod: %w", err)
	}
	return pod, c.poll(ctx, "pod "+name, func() (ok bool, err error) {
		pod, err = pods.Get(ctx, name, metav1.GetOptions{})
		return err == nil && pod.Status.PodIP != "", err
	})
}

// started is a user who has logged in and whose server answers.
func started(ctx context.Context, at visitor.Site) (*visitor.Visitor, error) {
	v, err := loggedIn(ctx, at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, _, err := v.Serve(ctx); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	if _, err := v.Open(ctx, "api"); err != nil {
		return nil, fmt.Errorf("open the server: %w", err)
	}
	return v, nil
}

func loggedIn(ctx context.Context, at visitor.Site) (*visitor.Visitor, error) {
	v, err := visitor.New(at, user)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := v.Login(ctx, password); err != nil {
		return nil, fmt.Errorf("log %s in: %w", user, err)
	}
	return v, nil
}

// perijove is the platform with one and with two replicas, through its Service.
func (c *cluster) perijove(ctx context.Context) ([]*contestant, error) {
	public, err := url.Parse(c.url)
	if err != nil {
		return nil, fmt.Errorf("address of the platform: %w", err)
	}
	service, err := c.kube.CoreV1().Services(platform).Get(ctx, gateway, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the Service: %w", err)
	}
	addr := fmt.Sprintf("%s:%d", service.Spec.ClusterIP, service.Spec.Ports[0].Port)
	at := visitor.Site{Base: c.url, Addr: addr, Form: true, Click: time.Second}
	if _, err := started(ctx, at); err != nil {
		return nil, err
	}
	c.like, err = c.kube.CoreV1().Pods(installed.Servers).Get(ctx, spawn.PodName(server.ID{User: user}), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the server's pod: %w", err)
	}
	s := site{address: "http://" + addr, headers: []string{"Host: " + public.Host}}
	var all []*contestant
	for i, name := range []string{"Perijove, 1 replica", "Perijove, 2 replicas"} {
		all = append(all, &contestant{
			name: name, rest: func() {},
			turn: func(ctx context.Context) error {
				if err := c.replicas(ctx, int32(i+1)); err != nil {
					return err
				}
				_, err := loggedIn(ctx, at) // also: the Service leads there
				return err
			},
			pages: map[page]func(context.Context) (ab.Target, error){
				pageLogin: func(context.Context) (ab.Target, error) { return s.page(contract.PathLogin, html), nil },
				pageStyle: s.style,
				pageHub:   func(context.Context) (ab.Target, error) { return s.page(contract.PathAPI + "/"), nil },
				pageServer: func(ctx context.Context) (ab.Target, error) {
					cookies, err := passed(ctx, at)
					return s.page(base+"api", cookies), err
				},
				pageStatic: func(ctx context.Context) (ab.Target, error) {
					cookies, err := passed(ctx, at)
					if err != nil {
						return ab.Target{}, err
					}
					return site{address: s.address, headers: append(s.headers, cookies)}.static(ctx)
				},
			},
		})
	}
	return all, nil
}

// passed is the Cookie header of a browser that has just opened its server: with a pass, which
// lasts a minute.
func passed(ctx context.Context, at visitor.Site) (string, error) {
	v, err := loggedIn(ctx, at)
	if err != nil {
		return "", err
	}
	defer v.Close()
	if _, err := v.Open(ctx, "api"); err != nil {
		return "", err
	}
	cookies := v.Cookies(base)
	if !strings.Contains(cookies, contract.CookiePass+"=") {
		return "", errors.New("the browser got no pass")
	}
	return "Cookie: " + cookies, nil
}
