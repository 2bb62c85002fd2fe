package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// State of a part.
type State string

// A part waits for others, starts, is ready, or failed: its process ended or stopped answering.
const (
	Waiting  State = "waiting"
	Starting State = "starting"
	Ready    State = "ready"
	Failed   State = "failed"
)

// PartStatus is one part as the supervisor sees it.
type PartStatus struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since,omitzero"` // start of the process
	Restarts int       `json:"restarts"`
	Problem  string    `json:"problem,omitempty"` // what the last probe said
}

// Status is the whole node.
type Status struct {
	PID   int          `json:"pid"` // the supervisor's own
	Spec  string       `json:"spec"`
	Parts []PartStatus `json:"parts"`
}

// Ready reports whether every part is.
func (s Status) Ready() bool {
	for _, part := range s.Parts {
		if part.State != Ready {
			return false
		}
	}
	return len(s.Parts) > 0
}

// Status returns a copy of the present state, parts in their order of start.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{PID: os.Getpid(), Spec: s.config.Spec}
	for _, part := range s.config.Parts {
		status.Parts = append(status.Parts, *s.status[part.Name])
	}
	return status
}

// Listen opens the Unix socket for Serve. Only the owner may connect. The caller must be the only supervisor: a socket file that another left is replaced.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listener, nil
}

// Handler answers GET /status.
func (s *Supervisor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s.Status()); err != nil {
			s.config.Log.Warn("answer status", "err", err)
		}
	})
	return mux
}

// Ask returns the status that the supervisor behind the socket reports. An error means that no supervisor runs there.
func Ask(ctx context.Context, socket string) (Status, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://onenode/status", nil)
	if err != nil {
		return Status{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return Status{}, fmt.Errorf("ask the supervisor: %w", err)
	}
	defer response.Body.Close()
	var status Status
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return Status{}, fmt.Errorf("ask the supervisor: %w", err)
	}
	return status, nil
}
