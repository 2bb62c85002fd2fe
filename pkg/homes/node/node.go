package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/homes/claims"
	"github.com/perijove/perijove/pkg/homes/mount"
	"github.com/perijove/perijove/pkg/homes/plan"
)

// What a kubelet says of the pod (CSIDriver.spec.podInfoOnMount).
const (
	podInfo      = "csi.storage.k8s.io/"
	podName      = podInfo + "pod.name"
	podNamespace = podInfo + "pod.namespace"
	podUID       = podInfo + "pod.uid"
	ephemeral    = podInfo + "ephemeral"
)

// Plugin is the CSI node plugin of one node.
type Plugin struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer

	Claims  claims.Claims
	Kubelet string // its root folder, which has the same path here
	Exports string // the folder with the exports
	Log     *slog.Logger

	one    sync.Mutex // a mount takes less than a millisecond: one at a time is fast enough
	asking sync.Map   // targets whose space is being asked for
}

// GetPluginInfo tells the driver's name.
func (p *Plugin) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: plan.Driver, VendorVersion: "1"}, nil
}

// GetPluginCapabilities says that there is no controller.
func (p *Plugin) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

// Probe says that the plugin works.
func (p *Plugin) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

// NodeGetInfo tells the node's name.
func (p *Plugin) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: p.Claims.Node}, nil
}

// NodePublishVolume gives a pod its folder: empty, or with the home if the pod was claimed already. That is so when
// the machine started anew under it.
func (p *Plugin) NodePublishVolume(ctx context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	target, err := p.allowed(r)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p.one.Lock()
	defer p.one.Unlock()
	// Asked while no claim is handled: the watch tells of one that is newer than this answer.
	pod, err := p.Claims.Pod(ctx, r.GetVolumeContext()[podName], target.Pod)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err := p.publish(ctx, target, pod); err != nil {
		p.Log.WarnContext(ctx, "a pod's folder could not be published", "pod", pod.Name, "uid", pod.UID, "error", err)
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// allowed reads whose volume is asked for. A pod's own words are in a request too, as attributes and secrets: one that
// has any is refused, since a pod can order no mount.
func (p *Plugin) allowed(r *csi.NodePublishVolumeRequest) (plan.Target, error) {
	target, err := plan.ParseTarget(p.Kubelet, r.GetTargetPath())
	if err != nil {
		return target, err
	}
	about := r.GetVolumeContext()
	for key := range about {
		if !strings.HasPrefix(key, podInfo) {
			return target, fmt.Errorf("the volume has the attribute %q; a late home has none", key)
		}
	}
	switch {
	case len(r.GetSecrets()) > 0:
		return target, errors.New("the volume names a Secret; a late home has none")
	case r.GetReadonly():
		return target, errors.New("the volume is read-only; a home is not")
	case r.GetVolumeCapability().GetMount() == nil:
		return target, errors.New("the volume is no file system")
	case about[ephemeral] != "true":
		return target, errors.New("the volume is not written in the pod")
	case about[podUID] != string(target.Pod):
		return target, errors.New("the folder is another pod's")
	case about[podNamespace] != p.Claims.Namespace:
		return target, fmt.Errorf("servers are in the namespace %s only", p.Claims.Namespace)
	}
	return target, nil
}

func (p *Plugin) publish(ctx context.Context, target plan.Target, pod *corev1.Pod) error {
	if plan.Claimed(pod) == "" {
		return p.make(ctx, target, nil, plan.Publish)
	}
	home, err := p.open(ctx, pod)
	if err != nil {
		return err
	}
	defer home.Close()
	return p.make(ctx, target, home, plan.Publish)
}

// Give binds the home of a pod that was claimed. It can be repeated.
func (p *Plugin) Give(ctx context.Context, pod *corev1.Pod) error {
	home, err := p.open(ctx, pod)
	if err == nil {
		defer home.Close()
		p.one.Lock()
		defer p.one.Unlock()
		for _, volume := range plan.Volumes(pod) {
			err = errors.Join(err, p.make(ctx, plan.Target{Pod: pod.UID, Volume: volume}, home, func(s plan.State, id *plan.Identity) ([]plan.Step, error) {
				return plan.Claim(s, *id)
			}))
		}
	}
	if err != nil {
		p.Log.WarnContext(ctx, "a pod has no home", "pod", pod.Name, "uid", pod.UID, "error", err)
	}
	return err
}

func (p *Plugin) open(ctx context.Context, pod *corev1.Pod) (*mount.Home, error) {
	place, err := p.Claims.Place(ctx, pod)
	if err != nil {
		return nil, err
	}
	return mount.Open(p.Exports, place)
}

// make looks at a target and makes the steps that the decision returns.
func (p *Plugin) make(ctx context.Context, t plan.Target, home *mount.Home, decide func(plan.State, *plan.Identity) ([]plan.Step, error)) error {
	folder := t.Path(p.Kubelet)
	state, err := mount.Look(folder)
	if err != nil {
		return err
	}
	var id *plan.Identity
	if home != nil {
		id = &home.ID
		if state.Bound() {
			state.Top = mount.Identify(folder)
		}
	}
	steps, err := decide(state, id)
	if err != nil {
		return err
	}
	return p.do(ctx, t, steps, home)
}

func (p *Plugin) do(ctx context.Context, t plan.Target, steps []plan.Step, home *mount.Home) error {
	for _, step := range steps {
		if err := mount.Do(step, t.Path(p.Kubelet), home); err != nil {
			return err
		}
		p.Log.InfoContext(ctx, string(step), "uid", t.Pod, "volume", t.Volume)
	}
	return nil
}

// NodeUnpublishVolume takes the folder away. It asks nothing of the API, and removes no folder that has a file in it.
func (p *Plugin) NodeUnpublishVolume(ctx context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target, err := plan.ParseTarget(p.Kubelet, r.GetTargetPath())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p.one.Lock()
	defer p.one.Unlock()
	state, err := mount.Look(target.Path(p.Kubelet))
	if err == nil {
		err = p.do(ctx, target, plan.Unpublish(state), nil)
	}
	if err != nil {
		p.Log.WarnContext(ctx, "a pod's folder could not be taken away", "uid", target.Pod, "error", err)
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
