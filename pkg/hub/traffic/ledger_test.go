package traffic

import (
	"math"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

var (
	alice = server.ID{User: "alice"}
	noon  = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
)

// says is the answer of a replica that began so many seconds ago, and saw alice's server used.
func says(since float64, agos ...float64) contract.UseReport {
	r := contract.UseReport{Since: since}
	for _, ago := range agos {
		r.Servers = append(r.Servers, contract.ServerUse{User: "alice", Ago: ago})
	}
	return r
}

type answers = map[string]contract.UseReport

// round is what the replicas say, some seconds after noon.
type round struct {
	at  float64
	say answers
}

func TestLedger(t *testing.T) {
	t.Parallel()
	after := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	for name, c := range map[string]struct {
		rounds []round
		at     float64 // when it is asked
		want   float64 // the last use; below 0 for unknown
	}{
		"nothing was asked":                   {nil, 0, -1},
		"a spawner that has just started":     {[]round{{0, answers{"a": says(9999)}}}, 0, 0},
		"what was before its start":           {[]round{{0, answers{"a": says(9999, 500)}}}, 10, 0},
		"used since":                          {[]round{{0, answers{"a": says(9999)}}, {30, answers{"a": says(9999+30, 5)}}}, 30, 25},
		"the latest of two replicas":          {[]round{{0, answers{"a": says(99), "b": says(99)}}, {30, answers{"a": says(129, 9), "b": says(129, 4)}}}, 30, 26},
		"answers that are too old":            {[]round{{0, answers{"a": says(99)}}}, 121, -1},
		"answers that are old enough":         {[]round{{0, answers{"a": says(99)}}}, 119, 0},
		"after a gap all begins anew":         {[]round{{0, answers{"a": says(99)}}, {121, answers{"a": says(220)}}}, 121, 121},
		"after a short one it does not":       {[]round{{0, answers{"a": says(99)}}, {119, answers{"a": says(218)}}}, 119, 0},
		"a replica is gone":                   {[]round{{0, answers{"a": says(99), "b": says(99)}}, {30, answers{"a": says(129)}}}, 30, 30},
		"a replica has started anew":          {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(12)}}}, 30, 30},
		"an answer that took long":            {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(121)}}}, 30, 0},
		"a replica more":                      {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(129), "b": says(20)}}}, 30, 0},
		"its first use":                       {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(129), "b": says(20, 10)}}}, 30, 20},
		"a use that is forgotten there":       {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(129, 5)}}, {60, answers{"a": says(159)}}}, 60, 25},
		"a time of the future is none":        {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(129, -500)}}}, 30, 30},
		"a time that is no number":            {[]round{{0, answers{"a": says(99)}}, {30, answers{"a": says(129, math.NaN())}}}, 30, 30},
		"a beginning that is no number":       {[]round{{0, answers{"a": says(math.NaN())}}, {30, answers{"a": says(math.Inf(1))}}}, 30, 0},
		"the clock goes back: it knows again": {[]round{{100, answers{"a": says(99)}}, {0, answers{"a": says(129)}}}, 0, 100},
	} {
		var l Ledger
		for _, r := range c.rounds {
			l.Take(after(r.at), r.say)
		}
		got, ok := l.Last(alice, after(c.at))
		if ok != (c.want >= 0) || ok && !got.Equal(after(c.want)) {
			t.Errorf("%s: %v s after noon, %v; want %v", name, got.Sub(noon).Seconds(), ok, c.want)
		}
	}
}
