//go:build parts

// Command deviceplugin gives the node GPUs that do not exist. Rules: package devices.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/perijove/perijove/deploy/onenode/programs/devices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "deviceplugin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("deviceplugin", flag.ContinueOnError)
	folder := flags.String("folder", "", "where the kubelet's sockets for device plugins are")
	health := flags.String("health", "", "address for /healthz: 200 once the kubelet has taken all resources")
	var resources []devices.Resource
	flags.Func("resource", "NAME=COUNT, any number of times", func(text string) error {
		r, err := devices.Parse(text)
		resources = append(resources, r)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	known := make([]atomic.Bool, len(resources))
	var running sync.WaitGroup
	for i, r := range resources {
		plugin := &devices.Plugin{Resource: r, Folder: *folder, Registered: func() {
			known[i].Store(true)
			fmt.Println("the kubelet has taken", r.Name)
		}}
		running.Go(func() {
			plugin.Run(ctx, func(err error) { fmt.Fprintln(os.Stderr, "deviceplugin:", err) })
		})
	}
	server := &http.Server{Addr: *health, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range known {
			if !known[i].Load() {
				http.Error(w, "the kubelet has not taken "+resources[i].Name, http.StatusServiceUnavailable)
				return
			}
		}
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	err := server.ListenAndServe()
	running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}
