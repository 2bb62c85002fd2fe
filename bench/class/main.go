// Command class measures a class that comes to work: each person logs in, presses Start, follows
// the progress and opens the server, first at Perijove and then at JupyterHub. API server, etcd,
// directory, proxies and hubs are real; nodes and what runs on them are simulated.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/nodes"
	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
)

type options struct {
	people        int
	within, click time.Duration
	limit         time.Duration
	pace          nodes.Pace
	peer          bool
	doc, check    bool
	profile       string
}

func main() {
	rig.Child()
	o := options{}
	flag.IntVar(&o.people, "people", 500, "how many come")
	flag.DurationVar(&o.within, "within", 10*time.Second, "they come within this time, evenly")
	flag.DurationVar(&o.click, "click", 5*time.Second, "who is refused clicks again after this time")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "who is not in by then stays out")
	flag.DurationVar(&o.pace.Run, "run", time.Second, "from a pod's binding until its container runs")
	flag.DurationVar(&o.pace.Boot, "boot", time.Second, "from then until its server answers")
	flag.BoolVar(&o.peer, "jupyterhub", true, "measure JupyterHub too")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plot")
	flag.BoolVar(&o.check, "check", false, "exit 1 when anybody is refused or lost, or not in within a minute")
	flag.StringVar(&o.profile, "profile", "", "`file` for a profile of a spawner's processor time")
	flag.Parse()
	var install []func() error
	if o.peer {
		install = []func() error{rig.InstallCHP, rig.InstallJupyterHub}
	}
	os.Exit(rig.Main("class", func(r *rig.Rig) error { return run(r, o) }, install...))
}

func run(r *rig.Rig, o options) error {
	b, err := build(r, o)
	if err != nil {
		return err
	}
	ours, err := b.ours(o)
	if err != nil {
		return err
	}
	all := []outcome{ours}
	if o.peer {
		hub, err := b.jupyterHub(o)
		if err != nil {
			return err
		}
		all = append(all, hub)
	}
	text := table(all)
	fmt.Print(text)
	fmt.Print(verbs(all))
	if o.doc {
		if err := plot(all, o); err != nil {
			return err
		}
		if err := report.Doc("class", report.Machine(rig.JupyterHubVersion())+conditions(o)+"\n"+text); err != nil {
			return err
		}
	}
	if o.check {
		return verdict(ours)
	}
	return nil
}

// platform is what both sites share.
type platform struct {
	rig       *rig.Rig
	kube      *rig.Kube
	directory *rig.Directory
}

func build(r *rig.Rig, o options) (*platform, error) {
	b := &platform{rig: r}
	var err error
	if b.kube, err = r.StartAuditedKube(); err != nil {
		return nil, err
	}
	if b.directory, err = r.StartDirectory(); err != nil {
		return nil, err
	}
	if err := b.directory.AddPeople(0, o.people); err != nil {
		return nil, err
	}
	_, err = r.StartNodes(b.kube, o.pace)
	return b, err
}

const image = "example.org/notebook:1"

// ours is a class at Perijove, with two spawners.
func (b *platform) ours(o options) (outcome, error) {
	const namespace, replicas = "perijove", 2
	if err := b.kube.Namespace(namespace); err != nil {
		return outcome{}, err
	}
	if err := b.kube.Profiles(namespace, image); err != nil {
		return outcome{}, err
	}
	authz, err := b.rig.AuthzWithLogins(b.kube, namespace, b.directory)
	if err != nil {
		return outcome{}, err
	}
	hub, err := b.rig.NewHub(replicas)
	if err != nil {
		return outcome{}, err
	}
	gateway, err := b.rig.GatewayWithHub(b.kube, namespace, hub)
	if err != nil {
		return outcome{}, err
	}
	spawners, err := b.rig.StartSpawners(b.kube, gateway, hub)
	if err != nil {
		return outcome{}, err
	}
	if o.profile != "" {
		go func() { _ = spawners[0].SaveProfile("profile?seconds=20", o.profile) }()
	}
	procs := []*rig.Proc{authz.Proc, gateway.XDS.Proc, gateway.Envoy.Proc, spawners[0].Proc, spawners[1].Proc}
	c := crowd{
		name: "Perijove", namespace: namespace, agents: []string{"perijove-spawner"}, procs: procs, knows: true,
		site: visitor.Site{Base: "http://" + rig.Host, Addr: gateway.Envoy.Addr, Form: true, Click: o.click},
	}
	result, err := b.come(context.Background(), c, o)
	gateway.Stop()
	for _, p := range []*rig.Proc{authz.Proc, spawners[0].Proc, spawners[1].Proc} {
		p.Kill()
	}
	return result, err
}

// jupyterHub is the same class there.
func (b *platform) jupyterHub(o options) (outcome, error) {
	const namespace = "jupyterhub"
	if err := b.kube.Namespace(namespace); err != nil {
		return outcome{}, err
	}
	spawner := rig.Traits{"KubeSpawner": {
		"namespace": namespace, "image": image, "port": nodes.Port, "storage_pvc_ensure": true, "storage_capacity": "1Gi", "storage_access_modes": []string{"ReadWriteOnce"},
		"cpu_guarantee": 0.1, "cpu_limit": 2, "mem_guarantee": "256M", "mem_limit": "2G", "start_timeout": 300,
		"volumes":       []any{map[string]any{"name": "home", "persistentVolumeClaim": map[string]any{"claimName": "{pvc_name}"}}},
		"volume_mounts": []any{map[string]any{"name": "home", "mountPath": "/home/jovyan"}},
	}}
	hub, err := b.rig.StartJupyterHub(b.kube.Kubeconfig, b.rig.WithDirectory(b.directory, spawner))
	if err != nil {
		return outcome{}, err
	}
	defer hub.Stop()
	return b.come(context.Background(), crowd{
		name: "JupyterHub", namespace: namespace, agents: []string{"OpenAPI-Generator"}, procs: []*rig.Proc{hub.Hub, hub.Proxy},
		site: visitor.Site{Base: "http://" + hub.Addr, Addr: hub.Addr, Click: o.click},
	}, o)
}
