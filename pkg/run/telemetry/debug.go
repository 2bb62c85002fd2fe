package telemetry

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// handleDebug adds to mux what an engineer needs of a process that misbehaves: its log level, to read
// and to change while it runs, and Go's profiles. Only clients in the same pod reach them, such
// as kubectl port-forward: a profile costs time, and a level fills disks.
func handleDebug(mux *http.ServeMux, log *slog.Logger) {
	handle := func(pattern string, h http.HandlerFunc) { mux.HandleFunc(pattern, samePod(h)) }
	handle("GET /loglevel", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, level(log).Level().String()+"\n")
	})
	handle("PUT /loglevel", func(w http.ResponseWriter, r *http.Request) { setLevel(w, r, log) })
	handle("GET /debug/pprof/", pprof.Index)
	handle("GET /debug/pprof/profile", pprof.Profile)
	handle("GET /debug/pprof/symbol", pprof.Symbol)
	handle("GET /debug/pprof/trace", pprof.Trace)
}

func setLevel(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	const longest = 16 // "DEBUG-4"
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
	var wanted slog.Level
	if err != nil || wanted.UnmarshalText([]byte(strings.TrimSpace(string(body)))) != nil {
		http.Error(w, "the level is debug, info, warn or error", http.StatusBadRequest)
		return
	}
	v := level(log)
	// Said at both levels' height: the line is there whichever is higher.
	log.Log(r.Context(), max(v.Level(), wanted, slog.LevelInfo), "log level changed", "from", v.Level().String(), "to", wanted.String())
	v.Set(wanted)
}

// samePod refuses clients that come over the network.
func samePod(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			http.Error(w, "only from inside of the pod: kubectl port-forward", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}
