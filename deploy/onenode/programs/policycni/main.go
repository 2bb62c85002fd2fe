//go:build parts

// Command policycni is a chained CNI plugin: it tells the enforcer of NetworkPolicies of a pod's address, and waits until the rules for it are there. So no
// process of a pod runs before its rules, and no pod gets an address that rules still know as another's. The network configuration names the socket.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/perijove/perijove/deploy/onenode/programs/policy/attach"
)

const (
	// The kubelet tries again with a new sandbox after a failure, so a pod without rules does not start.
	attachWithin = 15 * time.Second
	// A pod must go even if there is no enforcer. The next one that gets the address takes it over.
	detachWithin = 2 * time.Second
)

type config struct {
	types.NetConf
	Socket string `json:"socket"`
}

// arguments are what containerd tells plugins of the pod.
type arguments struct {
	types.CommonArgs
	K8S_POD_NAMESPACE, K8S_POD_NAME, K8S_POD_UID types.UnmarshallableString //nolint:revive // the names are the keys
}

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: func(*skel.CmdArgs) error { return nil }}, version.All, "perijove onenode NetworkPolicies")
}

func add(args *skel.CmdArgs) error {
	conf, pod, err := read(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), attachWithin)
	defer cancel()
	if err := attach.Tell(ctx, conf.Socket, attach.Attach, pod); err != nil {
		return err
	}
	return types.PrintResult(conf.PrevResult, conf.CNIVersion)
}

func del(args *skel.CmdArgs) error {
	conf, pod, err := read(args)
	if err != nil {
		return nil // the pod's network was never complete
	}
	ctx, cancel := context.WithTimeout(context.Background(), detachWithin)
	defer cancel()
	_ = attach.Tell(ctx, conf.Socket, attach.Detach, pod) // see detachWithin
	return nil
}

func read(args *skel.CmdArgs) (conf config, pod attach.Pod, err error) {
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return conf, pod, fmt.Errorf("network configuration: %w", err)
	}
	if err := version.ParsePrevResult(&conf.NetConf); err != nil {
		return conf, pod, fmt.Errorf("result of the plugin before: %w", err)
	}
	if conf.PrevResult == nil {
		return conf, pod, errors.New("the plugin comes after one that gives addresses")
	}
	result, err := current.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return conf, pod, fmt.Errorf("result of the plugin before: %w", err)
	}
	var named arguments
	named.IgnoreUnknown = true
	if err := types.LoadArgs(args.Args, &named); err != nil {
		return conf, pod, fmt.Errorf("arguments: %w", err)
	}
	pod = attach.Pod{Namespace: string(named.K8S_POD_NAMESPACE), Name: string(named.K8S_POD_NAME), UID: string(named.K8S_POD_UID)}
	for _, ip := range result.IPs {
		if address, ok := netip.AddrFromSlice(ip.Address.IP.To4()); ok {
			pod.Address = address
		}
	}
	if pod.UID == "" || !pod.Address.IsValid() {
		return conf, pod, errors.New("no pod or no IPv4 address is named")
	}
	return conf, pod, nil
}
