package spawn

import "time"

// Bounds of the time between a warning and its end: a tenth of the time that a server may run or be
// idle, so that a user who comes back from a break still sees it.
const (
	shortestNotice = time.Minute
	longestNotice  = 15 * time.Minute
	noticeShare    = 10
)

// Warning says that a server will soon be stopped. Its text has a message of its own.
type Warning struct {
	Message Message
	Data    map[string]string
	// At is when, at the earliest: the spawner asks once more before.
	At time.Time
	// Keeps says that use puts it off. Nothing puts off a maximum age.
	Keeps bool
}

// Warning returns what the user of a server is to be warned of; nil for nothing. Of a server that
// does not tell whether it is in use nothing is known, and it is not stopped for that.
func (s Server) Warning(now time.Time) *Warning {
	if s.Phase != Answering {
		return nil
	}
	var all []Warning
	if s.MayIdle > 0 && s.Tells && !s.Busy {
		all = append(all, Warning{
			Message: MsgWarnIdle, Data: map[string]string{"Limit": spanWords(s.MayIdle)}, At: s.LastActivity.Add(s.MayIdle), Keeps: true,
		})
	}
	if !s.Ends.IsZero() {
		all = append(all, Warning{Message: MsgWarnAge, Data: map[string]string{"Limit": spanWords(s.MayAge)}, At: s.Ends})
	}
	var first *Warning
	for i, w := range all {
		limit := s.MayAge
		if w.Keeps {
			limit = s.MayIdle
		}
		if !now.Before(w.At.Add(-warnedAhead(limit))) && (first == nil || w.At.Before(first.At)) {
			first = &all[i]
		}
	}
	return first
}

// warnedAhead is how long before the end of a limit users are warned.
func warnedAhead(limit time.Duration) time.Duration {
	return min(max(limit/noticeShare, shortestNotice), longestNotice, limit/2)
}
