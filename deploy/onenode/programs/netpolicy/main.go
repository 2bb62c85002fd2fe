//go:build parts

// Command netpolicy enforces NetworkPolicies for the pods of one node, in the network namespace that it runs in. Rules: package policy; everything else: package enforce.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/knftables"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/enforce"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netpolicy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("netpolicy", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	name := flags.String("node", "", "name of the node whose pods these are")
	bridge := flags.String("bridge", "", "network interface that the pods are on")
	socket := flags.String("socket", "", "where the CNI plugin tells of pods")
	health := flags.String("health", "", "address for /healthz: 200 while the kernel has the rules")
	var node policy.Node
	flags.TextVar(&node.Range, "pods", netip.Prefix{}, "addresses that the node gives to its pods")
	if err := flags.Parse(args); err != nil {
		return err
	}
	node.Bridge = *bridge
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", *kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	nft, err := knftables.New(knftables.InetFamily, enforce.TableName)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	enforcer, err := enforce.New(client, *name, enforce.NewWriter(nft, node), enforce.Forget, log)
	if err != nil {
		return err
	}
	return serve(ctx, enforcer, *socket, *health)
}

// serve runs the enforcer with its two doors until ctx ends or one of them fails.
func serve(ctx context.Context, enforcer *enforce.Enforcer, socket, health string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("socket of a process before: %w", err)
	}
	before := syscall.Umask(0o177) // only root may say whose an address is
	plugin, err := net.Listen("unix", socket)
	syscall.Umask(before)
	if err != nil {
		return err
	}
	probe, err := net.Listen("tcp", health)
	if err != nil {
		return err
	}
	for listener, handler := range map[net.Listener]http.Handler{plugin: enforcer.Attachments(), probe: enforcer.Health()} {
		server := &http.Server{Handler: handler}
		go func() { cancel(server.Serve(listener)) }()
		context.AfterFunc(ctx, func() { _ = server.Close() })
	}
	enforcer.Run(ctx)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
