package occupancy

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	// Every is the time between two samples.
	Every = 5 * time.Minute
	// Kept is how long samples are kept.
	Kept = 24 * time.Hour
)

// Sample is how many servers ran at a moment.
type Sample struct {
	At      time.Time
	Running int
}

// History is the samples of the last day, latest last, at most one for each Every. A value is never
// changed.
type History []Sample

// Due reports whether the sample of this moment is missing.
func (h History) Due(now time.Time) bool {
	return !slices.ContainsFunc(h, func(s Sample) bool { return s.At.Equal(now.Truncate(Every)) })
}

// With returns the history with the sample of this moment, and false where another replica has
// taken it. What is older than Kept, or later than now, is forgotten.
func (h History) With(running int, now time.Time) (History, bool) {
	if !h.Due(now) {
		return h, false
	}
	at := now.UTC().Truncate(Every)
	kept := slices.DeleteFunc(slices.Clone(h), func(s Sample) bool { return at.Sub(s.At) > Kept || s.At.After(at) })
	return append(kept, Sample{At: at, Running: running}), true
}

// stored is a history as it is kept: short, since it is written every five minutes.
type stored struct {
	Samples [][2]int64 `json:"samples"` // seconds since 1970, servers
}

// Encode returns the history as JSON.
func (h History) Encode() ([]byte, error) {
	var out stored
	for _, s := range h {
		out.Samples = append(out.Samples, [2]int64{s.At.Unix(), int64(s.Running)})
	}
	return json.Marshal(out)
}

// Parse reads what Encode wrote. What cannot be is left out.
func Parse(data []byte) (History, error) {
	var in stored
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, err
	}
	var h History
	for _, s := range in.Samples {
		at := time.Unix(s[0], 0).UTC()
		if s[1] >= 0 && s[1] < 1<<31 && len(h) <= int(Kept/Every) && (len(h) == 0 || h[len(h)-1].At.Before(at)) {
			h = append(h, Sample{At: at, Running: int(s[1])})
		}
	}
	return h, nil
}
