package cull

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Paths of the questions, below a server's own. The parameter keeps them from being activity
// themselves.
const (
	PathKernels   = "api/kernels?no_track_activity=1"
	PathTerminals = "api/terminals?no_track_activity=1"
	PathStatus    = "api/status?no_track_activity=1"
)

// Replies is what a server said, in the order in which it was asked.
type Replies struct {
	// Date is the header Date of the first reply (RFC 9110 §6.6.1). All times are the server's
	// own, so a node whose clock is wrong makes no server look idle.
	Date      string
	Kernels   []byte
	Terminals []byte // nil for a server that has no terminals
	Status    []byte
}

// Use is how much a server is in use.
type Use struct {
	// Busy is true while a kernel works.
	Busy bool
	// Idle is the time since something happened last; 0 for a server whose times lie in the future.
	Idle time.Duration
}

// Over reports whether the server is idle and has been for limit. A limit of 0 is none.
func (u Use) Over(limit time.Duration) bool { return limit > 0 && !u.Busy && u.Idle >= limit }

// Reported returns the use of a server that was last said to be in use some time ago. A report
// makes no server idle.
func (u Use) Reported(ago time.Duration) Use {
	u.Idle = min(u.Idle, max(ago, 0))
	return u
}

// busy is the state of a kernel that works (Jupyter messaging protocol, "status"). A kernel that
// no client has met stays in "starting": that is no work.
const busy = "busy"

// kernel and terminal are the fields that are read of an entry of the lists.
type kernel struct {
	ExecutionState *string    `json:"execution_state"`
	LastActivity   *time.Time `json:"last_activity"`
}

type terminal struct {
	LastActivity *time.Time `json:"last_activity"`
}

// Read returns how much a server is in use, or why its replies do not tell.
func Read(r Replies) (Use, error) {
	date, err := http.ParseTime(r.Date)
	if err != nil {
		return Use{}, errors.New("the reply has no Date")
	}
	last, err := lastOfStatus(r.Status)
	if err != nil {
		return Use{}, err
	}
	working, used, err := ofKernels(r.Kernels)
	if err != nil {
		return Use{}, err
	}
	last = later(last, used)
	if used, err = ofTerminals(r.Terminals); err != nil {
		return Use{}, err
	}
	last = later(last, used)
	return Use{Busy: working, Idle: max(0, date.Sub(last))}, nil
}

// lastOfStatus returns when anything last happened in the server, its start included.
func lastOfStatus(text []byte) (time.Time, error) {
	var status struct {
		Started      *time.Time `json:"started"`
		LastActivity *time.Time `json:"last_activity"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return time.Time{}, fmt.Errorf("read the status: %w", err)
	}
	if status.Started == nil || status.LastActivity == nil {
		return time.Time{}, errors.New("the status lacks its times")
	}
	return later(*status.Started, *status.LastActivity), nil
}

// ofKernels returns whether one of the kernels works, and when one last sent a message.
func ofKernels(text []byte) (working bool, last time.Time, err error) {
	var all []kernel
	if err := json.Unmarshal(text, &all); err != nil {
		return false, time.Time{}, fmt.Errorf("read the kernels: %w", err)
	}
	if all == nil {
		return false, time.Time{}, errors.New("the kernels are no list")
	}
	for _, k := range all {
		if k.ExecutionState == nil || k.LastActivity == nil {
			return false, time.Time{}, errors.New("a kernel lacks its state")
		}
		working = working || *k.ExecutionState == busy
		last = later(last, *k.LastActivity)
	}
	return working, last, nil
}

// ofTerminals returns when a terminal last had input or output.
func ofTerminals(text []byte) (last time.Time, err error) {
	if text == nil {
		return time.Time{}, nil
	}
	var all []terminal
	if err := json.Unmarshal(text, &all); err != nil {
		return time.Time{}, fmt.Errorf("read the terminals: %w", err)
	}
	if all == nil {
		return time.Time{}, errors.New("the terminals are no list")
	}
	for _, one := range all {
		if one.LastActivity == nil {
			return time.Time{}, errors.New("a terminal lacks its time")
		}
		last = later(last, *one.LastActivity)
	}
	return last, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
