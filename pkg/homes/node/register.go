package node

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/perijove/perijove/pkg/homes/plan"
)

// Folder is the driver's own below the kubelet's root folder.
func Folder(kubelet string) string { return filepath.Join(kubelet, "plugins", plan.Driver) }

// Sockets are where the kubelet finds the plugin, and where it looks for plugins.
func Sockets(kubelet string) (plugin, registration string) {
	return filepath.Join(Folder(kubelet), "csi.sock"), filepath.Join(kubelet, "plugins_registry", plan.Driver+"-reg.sock")
}

// registration introduces the plugin to a kubelet, each time that one starts.
type registration struct {
	registerapi.UnimplementedRegistrationServer
	endpoint string
	log      *slog.Logger
}

func (r registration) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{Type: registerapi.CSIPlugin, Name: plan.Driver, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"}}, nil
}

func (r registration) NotifyRegistrationStatus(ctx context.Context, s *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	if s.GetPluginRegistered() {
		r.log.InfoContext(ctx, "the kubelet knows the driver")
	} else {
		r.log.ErrorContext(ctx, "the kubelet refuses the driver", "error", s.GetError())
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}

// Servers returns the two servers, for the two sockets of Sockets.
func Servers(p *Plugin) (plugin, register *grpc.Server) {
	endpoint, _ := Sockets(p.Kubelet)
	plugin, register = grpc.NewServer(), grpc.NewServer()
	csi.RegisterIdentityServer(plugin, p)
	csi.RegisterNodeServer(plugin, p)
	registerapi.RegisterRegistrationServer(register, registration{endpoint: endpoint, log: p.Log})
	return plugin, register
}
