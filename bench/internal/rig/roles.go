package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/perijove/perijove/bench/internal/nodes"
	authzapp "github.com/perijove/perijove/cmd/authz/app"
	spawnerapp "github.com/perijove/perijove/cmd/spawner/app"
	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
)

const (
	envRole  = "PERIJOVE_BENCH_ROLE"
	envDebug = "PERIJOVE_BENCH_DEBUG" // address of the child's debug port
	// envServers is the folder of the servers' CA.
	envServers = "PERIJOVE_BENCH_SERVERS"
)

// Child turns a process that the rig started into what it shall be, and never returns
// then. Services run by their own Main in a process of their own; beside it is a port
// for profiles, which the released programs do not have.
func Child() {
	role := os.Getenv(envRole)
	if role == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if addr := os.Getenv(envDebug); addr != "" {
		serveDebug(addr)
	}
	switch role {
	case "xds-server":
		os.Exit(xdsapp.Main(ctx, os.Args[1:], os.Stderr))
	case "authz":
		os.Exit(authzapp.Main(ctx, os.Args[1:], os.Stderr))
	case "spawner":
		os.Exit(spawnerapp.Main(ctx, os.Args[1:], os.Stderr))
	case "nodes":
		os.Exit(nodes.Main(ctx, os.Args[1:], os.Stderr))
	case "upstream":
		os.Exit(serveUpstream())
	}
	fmt.Fprintln(os.Stderr, "unknown role", role)
	os.Exit(2)
}

// serveDebug serves Go's profiles, and /heap: bytes that are alive after a collection.
func serveDebug(addr string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/heap", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 { // pools let go in the second, what they held is freed in the third
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_, _ = fmt.Fprint(w, m.HeapAlloc)
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "debug port:", err)
		os.Exit(1)
	}
	go func() { _ = http.Serve(l, mux) }()
}
