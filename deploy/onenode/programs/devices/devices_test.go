package devices

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kubelet "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Resource{
		"nvidia.com/gpu=2": {"nvidia.com/gpu", 2}, "nvidia.com/mig-1g.5gb=1": {"nvidia.com/mig-1g.5gb", 1},
		"": {}, "gpu=2": {}, "nvidia.com/gpu": {}, "nvidia.com/gpu=0": {}, "nvidia.com/gpu=x": {}, "a/b/c=1": {}, "/b=1": {},
	} {
		if got, err := Parse(text); got != want || (err != nil) != (want == Resource{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// registry is a kubelet that takes plugins.
type registry struct {
	kubelet.UnimplementedRegistrationServer
	folder string
	taken  chan *kubelet.RegisterRequest
}

func (r *registry) Register(_ context.Context, request *kubelet.RegisterRequest) (*kubelet.Empty, error) {
	r.taken <- request
	return &kubelet.Empty{}, nil
}

// start starts it as a kubelet starts: all sockets in its folder go.
func (r *registry) start(t *testing.T) *grpc.Server {
	t.Helper()
	old, _ := filepath.Glob(filepath.Join(r.folder, "*"))
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", filepath.Join(r.folder, "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kubelet.RegisterRegistrationServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return server
}

func (r *registry) next(t *testing.T) *kubelet.RegisterRequest {
	t.Helper()
	select {
	case request := <-r.taken:
		return request
	case <-time.After(10 * time.Second):
		t.Fatal("no plugin registered")
		return nil
	}
}

// TestKubelet: a kubelet gets the resource, its devices and a container's allocation; the next kubelet too.
func TestKubelet(t *testing.T) {
	folder, err := os.MkdirTemp("", "dp") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	r := &registry{folder: folder, taken: make(chan *kubelet.RegisterRequest, 1)}
	first := r.start(t)
	registered := make(chan bool, 2)
	plugin := &Plugin{Resource: Resource{"nvidia.com/gpu", 2}, Folder: folder, Registered: func() { registered <- true }}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); plugin.Run(ctx, func(err error) { t.Log(err) }) }()

	request := r.next(t)
	if request.ResourceName != "nvidia.com/gpu" || request.Version != kubelet.Version {
		t.Errorf("registered %v", request)
	}
	conn, err := grpc.NewClient("unix:"+filepath.Join(folder, request.Endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := kubelet.NewDevicePluginClient(conn)
	stream, err := client.ListAndWatch(ctx, &kubelet.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil || len(list.Devices) != 2 || list.Devices[1].ID != "gpu-1" || list.Devices[1].Health != kubelet.Healthy {
		t.Errorf("devices %v, %v", list, err)
	}
	got, err := client.Allocate(ctx, &kubelet.AllocateRequest{ContainerRequests: []*kubelet.ContainerAllocateRequest{{DevicesIds: []string{"gpu-1", "gpu-0"}}, {DevicesIds: []string{"gpu-0"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"gpu-1,gpu-0", "gpu-0"} {
		if env := got.ContainerResponses[i].Envs; !reflect.DeepEqual(env, map[string]string{"NVIDIA_VISIBLE_DEVICES": want}) {
			t.Errorf("container %d: %v", i, env)
		}
	}

	<-registered
	first.Stop()
	r.start(t)
	if again := r.next(t); again.ResourceName != "nvidia.com/gpu" {
		t.Errorf("the next kubelet: %v", again)
	}
	<-registered
	stop()
	<-ended
	if left, _ := filepath.Glob(filepath.Join(folder, SocketPrefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
