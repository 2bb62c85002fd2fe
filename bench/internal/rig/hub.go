package rig

import (
	"context"
	"fmt"
	"io"
	"net"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
)

const (
	profilesMap = "perijove-profiles"
	jupyterMap  = "perijove-jupyter"
)

// Hub is the spawners' replicas behind one address. As kube-proxy does, it gives each connection
// of Envoy to one of them.
type Hub struct {
	Addr     string
	replicas []string
}

// NewHub listens for Envoy. The replicas are started by StartSpawners, when there is a gateway
// that they can ask about routes.
func (r *Rig) NewHub(replicas int) (*Hub, error) {
	h := &Hub{Addr: r.addr()}
	for range replicas {
		h.replicas = append(h.replicas, r.addr())
	}
	l, err := net.Listen("tcp", h.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen in front of the spawners: %w", err)
	}
	go func() {
		for turn := 0; ; turn++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go h.join(conn, turn)
		}
	}()
	return h, nil
}

// join leads a connection to the replica whose turn it is, or to the next one that is there.
func (h *Hub) join(envoy net.Conn, turn int) {
	defer func() { _ = envoy.Close() }()
	var spawner net.Conn
	for i := range h.replicas {
		var err error
		if spawner, err = net.Dial("tcp", h.replicas[(turn+i)%len(h.replicas)]); err == nil {
			break
		}
	}
	if spawner == nil {
		return // Envoy tries again
	}
	defer func() { _ = spawner.Close() }()
	go func() {
		_, _ = io.Copy(spawner, envoy)
		_ = spawner.Close()
	}()
	_, _ = io.Copy(envoy, spawner)
}

// StartSpawners runs the replicas with the chart's defaults, for the servers of g's namespace.
func (r *Rig) StartSpawners(k *Kube, g *Gateway, h *Hub) (all []*Service, err error) {
	for i := range h.replicas {
		s, err := r.StartSpawner(k, g, h, i)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// StartSpawner runs the i-th replica, again if it was killed, and waits until it is ready.
func (r *Rig) StartSpawner(k *Kube, g *Gateway, h *Hub, i int) (*Service, error) {
	private := r.addr()
	return r.service("spawner", fmt.Sprint("spawner-", i), options{
		"publicURL": "http://" + Host, "listen": h.replicas[i], "privateListen": private, "tls": r.tlsOptions(dirSpawner), "kubeconfig": k.Kubeconfig,
		"namespace": g.namespace, "publishedNamespaces": []string{g.namespace}, "serverKeyFile": r.Path(fileServerKey),
		"serversCA": options{"cert": r.Path(dirServers + "/tls.crt"), "key": r.Path(dirServers + "/tls.key")}, "proof": true,
		"jupyterConfigMap": jupyterMap, "profilesConfigMap": profilesMap, "routeStatus": []string{g.status},
	}, private)
}

// Profiles writes what users of a namespace may start: one profile, with the chart's defaults.
func (k *Kube) Profiles(namespace, image string) error {
	text, err := yaml.Marshal(options{
		"base":     options{"image": image, "cpu_guarantee": 0.1, "cpu_limit": 2, "mem_guarantee": "256M", "mem_limit": "2G", "storage_type": "dynamic", "storage_capacity": "1Gi"}, //nolint:mnd // the chart's
		"profiles": []options{{"display_name": "JupyterLab", "slug": "jupyterlab"}},
	})
	if err != nil {
		return fmt.Errorf("encode the profiles: %w", err)
	}
	_, err = k.Client.CoreV1().ConfigMaps(namespace).Create(context.Background(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: profilesMap}, Data: map[string]string{profiles.Key: string(text)},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	return nil
}
