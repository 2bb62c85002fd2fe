package main

import (
	"strings"
	"testing"
	"time"
)

// What grows with the number of users, or is too large, must fail make bench-check.
func TestCheckNamesWhatGotWorse(t *testing.T) {
	rows := func(change func(last *row)) []row {
		all := []row{{Users: 1000, BytesDown: 880, XDSCPU: 0.8}, {Users: 10_000, BytesDown: 885, XDSCPU: 0.9}}
		change(&all[1])
		return all
	}
	if err := check(rows(func(*row) {})); err != nil {
		t.Fatalf("good figures are refused: %v", err)
	}
	for want, change := range map[string]func(*row){
		"may send 1024":        func(r *row) { r.BytesDown = 1025 },
		"sends 880 bytes at":   func(r *row) { r.BytesDown = 990 },
		"costs the xds-server": func(r *row) { r.XDSCPU = 5 },
	} {
		if err := check(rows(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named: %v", want, err)
		}
	}
}

func TestSpread(t *testing.T) {
	var times []time.Duration
	for i := 200; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if got, want := spreadOf(times), (spread{P50: 100, P99: 198, Most: 200}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
