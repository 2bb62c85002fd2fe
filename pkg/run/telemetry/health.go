package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Health holds a service's readiness checks by name. A service is ready when it has at least
// one check and none fails: a named check that never reported counts as failed.
type Health struct {
	mu     sync.Mutex
	checks map[string]error
}

// NewHealth returns a Health with the named checks failing until Set says otherwise.
func NewHealth(checks ...string) *Health {
	h := &Health{checks: map[string]error{}}
	for _, c := range checks {
		h.checks[c] = errors.New("not yet")
	}
	return h
}

// Set records a check's result; nil means that it passes.
func (h *Health) Set(check string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[check] = err
}

// Ready returns nil, or every failing check.
func (h *Health) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.checks) == 0 {
		return errors.New("no check has reported")
	}
	names := make([]string, 0, len(h.checks))
	for name := range h.checks {
		names = append(names, name)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		if err := h.checks[name]; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
