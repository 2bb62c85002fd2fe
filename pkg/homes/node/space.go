package node

import (
	"context"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perijove/perijove/pkg/homes/mount"
	"github.com/perijove/perijove/pkg/homes/plan"
)

// spaceWait bounds how long a home's file server may take to say how full it is.
const spaceWait = 5 * time.Second

// NodeGetCapabilities says that the plugin knows how full homes are.
func (p *Plugin) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	stats := &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{
		Rpc: &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_GET_VOLUME_STATS},
	}}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{stats}}, nil
}

// NodeGetVolumeStats says how full a home is, or the empty folder before it is there. The kubelet asks once a minute. A
// question to a file server that is away never ends, so there is one at a time for each home, and the answer does not wait for
// it; it takes no part in mounting.
func (p *Plugin) NodeGetVolumeStats(ctx context.Context, r *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	target, err := plan.ParseTarget(p.Kubelet, r.GetVolumePath())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if _, asked := p.asking.LoadOrStore(target, nil); asked {
		return nil, status.Error(codes.Unavailable, "the home's file system has not answered the last question yet")
	}
	answer := make(chan *csi.NodeGetVolumeStatsResponse, 1)
	go func() {
		defer p.asking.Delete(target)
		if space, asked := mount.Measure(target.Path(p.Kubelet)); asked == nil {
			answer <- volumeStats(space)
		} else {
			p.Log.WarnContext(ctx, "a home does not say how full it is", "uid", target.Pod, "error", asked)
			close(answer)
		}
	}()
	select {
	case stats, ok := <-answer:
		if !ok {
			return nil, status.Error(codes.NotFound, "nothing is mounted there")
		}
		return stats, nil
	case <-time.After(spaceWait):
	case <-ctx.Done():
	}
	return nil, status.Error(codes.Unavailable, "the home's file system does not answer")
}

func volumeStats(s mount.Space) *csi.NodeGetVolumeStatsResponse {
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: s.Bytes, Available: s.FreeBytes, Used: s.Bytes - s.FreeBytes},
		{Unit: csi.VolumeUsage_INODES, Total: s.Inodes, Available: s.FreeInodes, Used: s.Inodes - s.FreeInodes},
	}}
}
