package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which Linux has fixed at 100 for every program.
const ticksPerSecond = 100

// CPU is the processor time that p has used so far.
func (p *Proc) CPU() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(data), ") ") // the name may hold anything
	fields := strings.Fields(after)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// Memory is the resident memory of p in bytes.
func (p *Proc) Memory() int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// Heap is what is alive on the service's heap after a collection, in bytes.
func (s *Service) Heap() (int64, error) {
	resp, err := http.Get("http://" + s.Debug + "/heap")
	if err != nil {
		return 0, fmt.Errorf("ask %s for its heap: %w", s.Name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read the heap of %s: %w", s.Name, err)
	}
	return strconv.ParseInt(string(body), 10, 64)
}

// SaveProfile writes one of Go's profiles to a file for `go tool pprof`.
func (s *Service) SaveProfile(kind, path string) error {
	resp, err := http.Get("http://" + s.Debug + "/debug/pprof/" + kind)
	if err != nil {
		return fmt.Errorf("ask %s for a profile: %w", s.Name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read a profile of %s: %w", s.Name, err)
	}
	return os.WriteFile(path, data, 0o644)
}

// Allocated is what Envoy's allocator has handed out, in bytes.
func (e *Envoy) Allocated() (int64, error) {
	resp, err := http.Get("http://" + e.Admin + "/memory")
	if err != nil {
		return 0, fmt.Errorf("ask Envoy for its memory: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var memory struct {
		Allocated int64 `json:"allocated,string"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&memory); err != nil {
		return 0, fmt.Errorf("read Envoy's memory: %w", err)
	}
	return memory.Allocated, nil
}
