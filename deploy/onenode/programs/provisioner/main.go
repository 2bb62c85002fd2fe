//go:build parts

// Command provisioner serves the StorageClass `standard` of the node: a folder for each PersistentVolumeClaim. Rules: package volumes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/perijove/perijove/deploy/onenode/programs/volumes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "provisioner:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("provisioner", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	folder := flags.String("folder", "", "where the volumes' folders are made")
	port := flags.Int("metrics-port", 0, "port on loopback for /metrics")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", *kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	root, err := os.OpenRoot(*folder)
	if err != nil {
		return fmt.Errorf("folder for volumes: %w", err)
	}
	defer root.Close()
	provision := volumes.Folders{Root: root, Chown: volumes.OwnedByUser}
	controller.NewProvisionController(ctx, client, volumes.Name, provision,
		controller.LeaderElection(false), // there is one
		controller.MetricsAddress("127.0.0.1"),
		controller.MetricsPort(int32(*port)),
	).Run(ctx)
	return nil
}
