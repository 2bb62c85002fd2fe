package cull_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/cull"
)

const date = "Thu, 26 Nov 2026 12:00:00 GMT"

// reply makes replies of times of that day; "" leaves a part out.
func reply(status, kernels, terminals string) cull.Replies {
	r := cull.Replies{Date: date, Status: []byte(status), Kernels: []byte(kernels)}
	if terminals != "" {
		r.Terminals = []byte(terminals)
	}
	return r
}

func status(last string) string {
	return `{"started":"2026-11-26T08:00:00.000000Z","last_activity":"2026-11-26T` + last + `Z","connections":1,"kernels":1}`
}

func kernels(state, last string) string {
	return `[{"id":"k","name":"python3","last_activity":"2026-11-26T` + last + `Z","execution_state":"` + state + `","connections":1}]`
}

func terminals(last string) string {
	return `[{"name":"1","last_activity":"2026-11-26T` + last + `Z"}]`
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replies cull.Replies
		want    cull.Use
		culled  bool // after an hour
	}{
		"nothing since its start": {reply(`{"started":"2026-11-26T10:59:00Z","last_activity":"2026-11-26T10:59:00Z"}`, "[]", "[]"), cull.Use{Idle: 61 * time.Minute}, true},
		"no terminals at all":     {reply(status("10:00:00.5"), "[]", ""), cull.Use{Idle: 2*time.Hour - time.Second/2}, true},
		"an idle kernel":          {reply(status("10:00:00"), kernels("idle", "10:00:00"), "[]"), cull.Use{Idle: 2 * time.Hour}, true},
		"a kernel just finished":  {reply(status("10:00:00"), kernels("idle", "11:59:59"), "[]"), cull.Use{Idle: time.Second}, false},
		"a silent busy kernel":    {reply(status("09:00:00"), kernels("busy", "09:00:00"), "[]"), cull.Use{Busy: true, Idle: 3 * time.Hour}, false},
		"one of two is busy": {reply(status("09:00:00"), `[{"execution_state":"busy","last_activity":"2026-11-26T09:00:00Z"},{"execution_state":"idle","last_activity":"2026-11-26T09:00:00Z"}]`, "[]"),
			cull.Use{Busy: true, Idle: 3 * time.Hour}, false},
		"a kernel nobody met":      {reply(status("10:00:00"), kernels("starting", "10:00:00"), "[]"), cull.Use{Idle: 2 * time.Hour}, true},
		"a dead kernel":            {reply(status("10:00:00"), kernels("dead", "10:00:00"), "[]"), cull.Use{Idle: 2 * time.Hour}, true},
		"a terminal in use":        {reply(status("10:00:00"), "[]", terminals("11:30:00")), cull.Use{Idle: 30 * time.Minute}, false},
		"a file was saved":         {reply(status("11:30:00"), kernels("idle", "10:00:00"), terminals("10:00:00")), cull.Use{Idle: 30 * time.Minute}, false},
		"exactly the limit":        {reply(status("11:00:00"), "[]", "[]"), cull.Use{Idle: time.Hour}, true},
		"a second less":            {reply(status("11:00:01"), "[]", "[]"), cull.Use{Idle: time.Hour - time.Second}, false},
		"another zone":             {reply(`{"started":"2026-11-26T08:00:00Z","last_activity":"2026-11-26T13:00:00+02:00"}`, "[]", "[]"), cull.Use{Idle: time.Hour}, true},
		"started after its times":  {reply(`{"started":"2026-11-26T11:59:00Z","last_activity":"0001-01-01T00:00:00Z"}`, "[]", "[]"), cull.Use{Idle: time.Minute}, false},
		"from the future":          {reply(status("23:00:00"), "[]", "[]"), cull.Use{}, false},
		"a busy one of the future": {reply(status("10:00:00"), kernels("busy", "23:00:00"), "[]"), cull.Use{Busy: true}, false},
	} {
		got, err := cull.Read(c.replies)
		if err != nil || got != c.want || got.Over(time.Hour) != c.culled {
			t.Errorf("%s: %+v, %v, over: %v; want %+v, %v", name, got, err, got.Over(time.Hour), c.want, c.culled)
		}
		if got.Over(0) {
			t.Errorf("%s: culled without a limit", name)
		}
	}
}

// TestReports: the later of what a server says and what is reported counts, and a report makes no
// server idle or done with its work.
func TestReports(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		use  cull.Use
		ago  time.Duration
		want cull.Use
	}{
		{cull.Use{Idle: time.Hour}, time.Minute, cull.Use{Idle: time.Minute}},
		{cull.Use{Idle: time.Minute}, time.Hour, cull.Use{Idle: time.Minute}},
		{cull.Use{Idle: time.Hour}, -time.Minute, cull.Use{}},
		{cull.Use{Busy: true}, time.Hour, cull.Use{Busy: true}},
	} {
		if got := c.use.Reported(c.ago); got != c.want {
			t.Errorf("%+v reported %s ago: %+v, want %+v", c.use, c.ago, got, c.want)
		}
	}
}

// A reply that does not tell is no verdict: no server is stopped for it.
func TestOddRepliesTellNothing(t *testing.T) {
	t.Parallel()
	good := reply(status("01:00:00"), kernels("idle", "01:00:00"), terminals("01:00:00"))
	if use, err := cull.Read(good); err != nil || !use.Over(time.Hour) {
		t.Fatalf("negative control: %+v, %v", use, err)
	}
	for name, change := range map[string]func(*cull.Replies){
		"no date":                   func(r *cull.Replies) { r.Date = "" },
		"a date of another kind":    func(r *cull.Replies) { r.Date = "2026-11-26T12:00:00Z" },
		"no status":                 func(r *cull.Replies) { r.Status = nil },
		"status null":               func(r *cull.Replies) { r.Status = []byte("null") },
		"status without times":      func(r *cull.Replies) { r.Status = []byte("{}") },
		"status without activity":   func(r *cull.Replies) { r.Status = []byte(`{"started":"2026-11-26T08:00:00Z"}`) },
		"status of another program": func(r *cull.Replies) { r.Status = []byte("<html>") },
		"time without a zone": func(r *cull.Replies) {
			r.Status = []byte(`{"started":"2026-11-26T08:00:00","last_activity":"2026-11-26T08:00:00"}`)
		},
		"status with a tail":     func(r *cull.Replies) { r.Status = append(r.Status, '{') },
		"no kernels":             func(r *cull.Replies) { r.Kernels = nil },
		"kernels null":           func(r *cull.Replies) { r.Kernels = []byte("null") },
		"kernels as an object":   func(r *cull.Replies) { r.Kernels = []byte(`{"message":"Forbidden"}`) },
		"a kernel null":          func(r *cull.Replies) { r.Kernels = []byte("[null]") },
		"a kernel without state": func(r *cull.Replies) { r.Kernels = []byte(`[{"last_activity":"2026-11-26T08:00:00Z"}]`) },
		"a kernel without time":  func(r *cull.Replies) { r.Kernels = []byte(`[{"execution_state":"idle"}]`) },
		"a state of another kind": func(r *cull.Replies) {
			r.Kernels = []byte(`[{"execution_state":1,"last_activity":"2026-11-26T08:00:00Z"}]`)
		},
		"terminals null":          func(r *cull.Replies) { r.Terminals = []byte("null") },
		"terminals empty":         func(r *cull.Replies) { r.Terminals = []byte{} },
		"a terminal without time": func(r *cull.Replies) { r.Terminals = []byte("[{}]") },
	} {
		r := good
		r.Status = append([]byte(nil), good.Status...)
		change(&r)
		if use, err := cull.Read(r); err == nil || use != (cull.Use{}) {
			t.Errorf("%s: %+v, %v", name, use, err)
		}
	}
}

// FuzzRead: whatever a hostile server replies, it is no panic, no negative time, and a busy
// kernel is never over.
func FuzzRead(f *testing.F) {
	f.Add(date, status("10:00:00"), kernels("busy", "10:00:00"), terminals("10:00:00"))
	f.Add(date, status("10:00:00"), "[]", "null")
	f.Add(http.TimeFormat, "{", `[{"execution_state":"idle"}]`, "[[]]")
	f.Fuzz(func(t *testing.T, date, status, kernels, terminals string) {
		use, err := cull.Read(cull.Replies{Date: date, Status: []byte(status), Kernels: []byte(kernels), Terminals: []byte(terminals)})
		if err != nil && use != (cull.Use{}) || use.Idle < 0 || use.Busy && use.Over(1) {
			t.Errorf("%+v, %v", use, err)
		}
	})
}
