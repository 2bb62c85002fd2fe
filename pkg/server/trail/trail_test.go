package trail

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWith(t *testing.T) {
	t.Parallel()
	var all Trail
	at := time.Date(2026, 11, 26, 9, 0, 0, 123, time.FixedZone("", 3600))
	for i := range Most + 5 {
		before := len(all)
		next := all.With(Event{At: at.Add(time.Duration(i) * time.Minute), What: Started, Of: fmt.Sprint(i)})
		if len(all) != before {
			t.Fatal("a trail was changed")
		}
		all = next
	}
	if len(all) != Most || all[0].Of != "5" || all[Most-1].Of != fmt.Sprint(Most+4) {
		t.Errorf("%d events, from %+v to %+v", len(all), all[0], all[len(all)-1])
	}
	if text, err := json.Marshal(all[0]); err != nil || string(text) != `{"t":"2026-11-26T08:05:00Z","w":"started","of":"5"}` {
		t.Errorf("%s %v", text, err)
	}
}

// TestD9_TrailsAreBounded: whatever names there are.
func TestD9_TrailsAreBounded(t *testing.T) {
	t.Parallel()
	var all Trail
	for range 1000 {
		all = all.With(Event{At: time.Now(), What: Stopped, By: strings.Repeat("ü", 1000), Of: strings.Repeat("\xff", 1000)})
	}
	if text, err := json.Marshal(all); err != nil || len(text) > 8<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestWho(t *testing.T) {
	t.Parallel()
	if Who(t.Context()) != "" || Who(As(t.Context(), "carol")) != "carol" {
		t.Error("who acts")
	}
}
