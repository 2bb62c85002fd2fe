package spawn

import (
	"testing"
	"time"
)

// TestWarning: a tenth of the time ahead, a quarter of an hour at most; never of a server that works or
// does not tell; of two ends the earlier one.
func TestWarning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	idle := func(limit, since float64) Server {
		return Server{MayIdle: minutes(limit), LastActivity: now.Add(-minutes(since)), Tells: true, Status: Status{Phase: Answering}}
	}
	with := func(s Server, change func(*Server)) Server { change(&s); return s }
	aged := func(s Server, limit, in float64) Server {
		s.MayAge, s.Ends = minutes(limit), now.Add(minutes(in))
		return s
	}
	for name, c := range map[string]struct {
		server Server
		want   Message
		in     float64 // minutes until the end
	}{
		"an hour, nearly over":           {idle(60, 54), MsgWarnIdle, 6},
		"an hour, not yet":               {idle(60, 53.9), "", 0},
		"a day, a quarter of an hour":    {idle(1440, 1425), MsgWarnIdle, 15},
		"a day, not yet":                 {idle(1440, 1424), "", 0},
		"five minutes, one of them":      {idle(5, 4), MsgWarnIdle, 1},
		"one minute, half of it":         {idle(1, 0.5), MsgWarnIdle, 0.5},
		"its time is up":                 {idle(60, 61), MsgWarnIdle, -1},
		"no limit":                       {idle(0, 9999), "", 0},
		"a kernel works":                 {with(idle(60, 59), func(s *Server) { s.Busy = true }), "", 0},
		"it does not tell":               {with(idle(60, 59), func(s *Server) { s.Tells = false }), "", 0},
		"it is gone":                     {with(idle(60, 59), func(s *Server) { s.Phase = Stopping }), "", 0},
		"its age, though a kernel works": {aged(with(idle(60, 59), func(s *Server) { s.Busy = true }), 120, 12), MsgWarnAge, 12},
		"its age, not yet":               {aged(idle(0, 0), 120, 13), "", 0},
		"both, its age first":            {aged(idle(60, 54), 120, 5), MsgWarnAge, 5},
		"both, idle first":               {aged(idle(60, 56), 120, 5), MsgWarnIdle, 4},
	} {
		got := c.server.Warning(now)
		if (got != nil) != (c.want != "") {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if got != nil && (got.Message != c.want || !got.At.Equal(now.Add(minutes(c.in))) || got.Keeps != (c.want == MsgWarnIdle) || got.Data["Limit"] == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
