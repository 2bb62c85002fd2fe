package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perijove/perijove/bench/internal/nodes"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
)

// machinery is what all sites share.
type machinery struct {
	rig       *rig.Rig
	kube      *rig.Kube
	directory *rig.Directory
}

const image = "example.org/notebook:1"

func build(r *rig.Rig, o options) (*machinery, error) {
	b := &machinery{rig: r}
	var err error
	if b.kube, err = r.StartAuditedKube(); err != nil {
		return nil, err
	}
	if b.directory, err = r.StartDirectory(); err != nil {
		return nil, err
	}
	const classes = 2 // at Perijove one after the other
	if err := b.directory.AddPeople(0, classes*o.people); err != nil {
		return nil, err
	}
	_, err = r.StartNodes(b.kube, o.pace)
	return b, err
}

// perijove is the platform with two spawners.
type perijove struct {
	*machinery
	hub      *rig.Hub
	authz    *rig.Service
	gateway  *rig.Gateway
	spawners []*rig.Service
	site     visitor.Site
}

const ownNamespace = "perijove"

func (b *machinery) startPerijove(o options) (*perijove, error) {
	const replicas = 2
	p := &perijove{machinery: b}
	if err := errors.Join(b.kube.Namespace(ownNamespace), b.kube.Profiles(ownNamespace, image)); err != nil {
		return nil, err
	}
	var err error
	if p.authz, err = b.rig.AuthzWithLogins(b.kube, ownNamespace, b.directory); err != nil {
		return nil, err
	}
	if p.hub, err = b.rig.NewHub(replicas); err != nil {
		return nil, err
	}
	if p.gateway, err = b.rig.GatewayWithHub(b.kube, ownNamespace, p.hub); err != nil {
		return nil, err
	}
	if p.spawners, err = b.rig.StartSpawners(b.kube, p.gateway, p.hub); err != nil {
		return nil, err
	}
	p.site = visitor.Site{Base: "http://" + rig.Host, Addr: p.gateway.Envoy.Addr, Form: true, Click: o.click}
	return p, nil
}

func (p *perijove) stop() {
	p.gateway.Stop()
	p.authz.Kill()
	for _, s := range p.spawners {
		s.Kill()
	}
}

// class is one at the platform.
func (p *perijove) class(ctx context.Context, o options) (outcome, error) {
	c := crowd{name: "Perijove", namespace: ownNamespace, agent: "perijove-spawner", knows: true, site: p.site}
	for _, s := range append([]*rig.Service{p.authz, p.gateway.XDS}, p.spawners...) {
		c.procs = append(c.procs, s.Proc)
	}
	c.procs = append(c.procs, p.gateway.Envoy.Proc)
	return p.come(ctx, c, o)
}

// restart is how long a killed spawner is away before it begins anew, as its container does.
const restart = time.Second

// classKilled is another class, in the middle of which one spawner is killed.
func (p *perijove) classKilled(ctx context.Context, o options) (outcome, error) {
	again := make(chan error, 1)
	time.AfterFunc(o.within/2, func() {
		p.spawners[0].Kill()
		time.Sleep(restart)
		var err error
		p.spawners[0], err = p.rig.StartSpawner(p.kube, p.gateway, p.hub, 0)
		again <- err
	})
	out, err := p.come(ctx, crowd{
		name: "Perijove, a spawner killed", namespace: ownNamespace, agent: "perijove-spawner", first: o.people, knows: true, site: p.site,
	}, o)
	return out, errors.Join(err, <-again)
}

// jupyterHub is the same class there, with the directory's passwords or with any.
func (b *machinery) jupyterHub(ctx context.Context, o options, passwords bool) (outcome, error) {
	name, title := "jupyterhub", "JupyterHub"
	traits := rig.Traits{}
	if passwords {
		traits = b.rig.WithDirectory(b.directory, traits)
	} else {
		name, title = "jupyterhub-open", "JupyterHub, no password checked"
		traits["JupyterHub"] = map[string]any{"authenticator_class": "dummy"}
		traits["DummyAuthenticator"] = map[string]any{"allow_all": true}
	}
	if err := b.kube.Namespace(name); err != nil {
		return outcome{}, err
	}
	traits["KubeSpawner"] = map[string]any{
		"namespace": name, "image": image, "port": nodes.Port, "storage_pvc_ensure": true, "storage_capacity": "1Gi", "storage_access_modes": []string{"ReadWriteOnce"},
		"cpu_guarantee": 0.1, "cpu_limit": 2, "mem_guarantee": "256M", "mem_limit": "2G", "start_timeout": 300, //nolint:mnd // as the chart's, and Zero to JupyterHub's
		"volumes":       []any{map[string]any{"name": "home", "persistentVolumeClaim": map[string]any{"claimName": "{pvc_name}"}}},
		"volume_mounts": []any{map[string]any{"name": "home", "mountPath": "/home/jovyan"}},
	}
	hub, err := b.rig.StartJupyterHub(name, b.kube.Kubeconfig, traits)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", title, err)
	}
	defer hub.Stop()
	return b.come(ctx, crowd{
		name: title, namespace: name, agent: "OpenAPI-Generator", procs: []*rig.Proc{hub.Hub, hub.Proxy},
		site: visitor.Site{Base: "http://" + hub.Addr, Addr: hub.Addr, Click: o.click},
	}, o)
}
