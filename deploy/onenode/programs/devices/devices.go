package devices

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kubelet "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// SocketPrefix begins the name of every socket of this package in the kubelet's folder, so that `down` finds those that a kill left.
const SocketPrefix = "perijove-"

// Resource is some devices of one kind.
type Resource struct {
	Name  string // nvidia.com/gpu
	Count int
}

// Parse reads NAME=COUNT.
func Parse(text string) (Resource, error) {
	name, count, _ := strings.Cut(text, "=")
	n, err := strconv.Atoi(count)
	if vendor, kind, ok := strings.Cut(name, "/"); err != nil || n < 1 || !ok || vendor == "" || kind == "" || strings.Contains(kind, "/") {
		return Resource{}, fmt.Errorf("%q is not like nvidia.com/gpu=2", text)
	}
	return Resource{Name: name, Count: n}, nil
}

// ids are the devices' names: gpu-0, gpu-1.
func (r Resource) ids() []string {
	var ids []string
	for i := range r.Count {
		ids = append(ids, fmt.Sprintf("%s-%d", path.Base(r.Name), i))
	}
	return ids
}

// Variable is the environment variable that names a container's devices. NVIDIA's own plugin uses the same for its resources.
func (r Resource) Variable() string {
	vendor, _, _ := strings.Cut(r.Name, ".")
	return strings.ToUpper(strings.ReplaceAll(vendor, "-", "_")) + "_VISIBLE_DEVICES"
}

// socket is the name of the plugin's socket.
func (r Resource) socket() string {
	return SocketPrefix + strings.ReplaceAll(r.Name, "/", "_") + ".sock"
}

// Plugin offers one resource to the kubelet whose sockets are in Folder.
type Plugin struct {
	Resource
	Folder string
	// Registered is called when the kubelet has taken the resource, each time.
	Registered func()

	kubelet.UnimplementedDevicePluginServer
}

// again is how long the plugin waits after a failure, and how often it looks whether the kubelet is another one.
const again = time.Second

// Run offers the resource until ctx is done. A kubelet that starts removes all sockets and forgets all plugins; then it is told anew.
func (p *Plugin) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		if err := p.serve(ctx); err != nil && ctx.Err() == nil {
			failed(fmt.Errorf("%s: %w", p.Name, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// serve offers the resource to one kubelet, until that one is gone.
func (p *Plugin) serve(ctx context.Context) error {
	own, other := filepath.Join(p.Folder, p.socket()), filepath.Join(p.Folder, filepath.Base(kubelet.KubeletSocket))
	started, err := os.Stat(other)
	if err != nil {
		return fmt.Errorf("the kubelet's socket: %w", err)
	}
	if err := os.Remove(own); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", own)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	kubelet.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }() // ends with Stop, which also removes the socket
	defer server.Stop()
	if err := p.register(ctx, other); err != nil {
		return err
	}
	p.Registered()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := os.Stat(other)
		if err != nil || !os.SameFile(started, now) || !now.ModTime().Equal(started.ModTime()) {
			return nil
		}
		if _, err := os.Stat(own); err != nil {
			return nil
		}
	}
}

// register tells the kubelet at socket of the resource.
func (p *Plugin) register(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials())) // only root may use the socket
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = kubelet.NewRegistrationClient(conn).Register(ctx, &kubelet.RegisterRequest{
		Version: kubelet.Version, Endpoint: p.socket(), ResourceName: p.Name, Options: &kubelet.DevicePluginOptions{},
	})
	return err
}

// GetDevicePluginOptions asks for none of the optional calls.
func (p *Plugin) GetDevicePluginOptions(context.Context, *kubelet.Empty) (*kubelet.DevicePluginOptions, error) {
	return &kubelet.DevicePluginOptions{}, nil
}

// ListAndWatch sends the devices, all well, and nothing more: they never change.
func (p *Plugin) ListAndWatch(_ *kubelet.Empty, stream grpc.ServerStreamingServer[kubelet.ListAndWatchResponse]) error {
	var list kubelet.ListAndWatchResponse
	for _, id := range p.ids() {
		list.Devices = append(list.Devices, &kubelet.Device{ID: id, Health: kubelet.Healthy})
	}
	if err := stream.Send(&list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate names a container's devices in its environment.
func (p *Plugin) Allocate(_ context.Context, r *kubelet.AllocateRequest) (*kubelet.AllocateResponse, error) {
	var answer kubelet.AllocateResponse
	for _, c := range r.ContainerRequests {
		answer.ContainerResponses = append(answer.ContainerResponses, &kubelet.ContainerAllocateResponse{
			Envs: map[string]string{p.Variable(): strings.Join(c.DevicesIds, ",")},
		})
	}
	return &answer, nil
}
