package supervise

import "time"

// backoff spaces the starts of a part that keeps ending: 100 ms, doubled up to 10 s, and back to 100 ms once it ran for half a minute.
type backoff struct{ last time.Duration }

func (b *backoff) next(ran time.Duration) time.Duration {
	const (
		least   = 100 * time.Millisecond
		most    = 10 * time.Second
		healthy = 30 * time.Second
	)
	b.last *= 2
	if b.last < least || ran >= healthy {
		b.last = least
	}
	b.last = min(b.last, most)
	return b.last
}
