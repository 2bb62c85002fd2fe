package pool

import (
	"strings"
	"testing"
	"time"
)

func TestSizeAt(t *testing.T) {
	t.Parallel()
	plan := Plan{Size: 1, Timezone: "Europe/Berlin", Hours: []Hours{
		{Days: []string{"mon", "tue"}, From: "08:00", To: "18:00", Size: 10},
		{From: "12:00", To: "13:30", Size: 4},
		{Days: []string{"fri"}, From: "22:00", To: "02:00", Size: 7},
		{Days: []string{"sun"}, From: "00:00", To: "24:00", Size: 0},
	}}
	for at, want := range map[string]int{
		"2026-11-23T06:59:00Z": 1,  // Monday, 07:59 in Berlin
		"2026-11-23T07:00:00Z": 10, // 08:00
		"2026-11-23T16:59:59Z": 10,
		"2026-11-23T17:00:00Z": 1,  // 18:00: to is not within
		"2026-11-24T11:30:00Z": 10, // the most of two
		"2026-11-25T11:30:00Z": 4,  // Wednesday at noon
		"2026-11-27T21:00:00Z": 7,  // Friday, 22:00
		"2026-11-28T00:59:00Z": 7,  // Saturday, 01:59: of Friday's night
		"2026-11-28T01:00:00Z": 1,
		"2026-11-28T21:30:00Z": 1, // Saturday's night is no Friday's
		"2026-11-29T09:00:00Z": 0, // Sunday: hours may also say fewer
		"2026-11-29T11:15:00Z": 4,
		"2026-07-27T06:00:00Z": 10, // summer time: 08:00
		"2026-07-27T05:59:00Z": 1,
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.SizeAt(now); got != want {
			t.Errorf("%s: %d wait, want %d", at, got, want)
		}
	}
	if (Plan{}).SizeAt(time.Now()) != 0 || !(Plan{}).IsZero() || (Plan{Size: 1}).IsZero() || (Plan{Hours: plan.Hours}).IsZero() {
		t.Error("no plan is a pool, or a plan is none")
	}
}

func TestFaultsOfAPlan(t *testing.T) {
	t.Parallel()
	if faults := (Plan{Size: 2, Timezone: "Asia/Shanghai", Hours: []Hours{{Days: []string{"sat"}, From: "23:30", To: "24:00", Size: 500}}}).Faults(); len(faults) > 0 {
		t.Errorf("a good plan has faults: %v", faults)
	}
	wrong := Plan{Size: -1, Timezone: "Mars/Olympus", Hours: []Hours{
		{Days: []string{"mon", "Monday"}, From: "8:00", To: "25:00", Size: 501}, {From: "24:00", To: "09:60", Size: 1}, {From: "09:00", To: "09:00"}, {From: "", To: "١٢:٠٠"},
	}}
	var all strings.Builder
	for _, f := range wrong.Faults() {
		all.WriteString(f.Key + " ")
	}
	want := "size timezone hours[0].size hours[0].from hours[0].to hours[0].days[1] hours[1].from hours[1].to hours[2].to hours[3].from hours[3].to "
	if all.String() != want {
		t.Errorf("faults at\n%s, want\n%s", &all, want)
	}
	if faults := (Plan{Timezone: "Local"}).Faults(); len(faults) != 1 {
		t.Error("each replica would have a time of its own")
	}
}

func FuzzMinutes(f *testing.F) {
	f.Add("08:00")
	f.Add("24:00")
	f.Add("9:00")
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := minutes(text)
		if ok && (n < 0 || n > wholeDay || len(text) != 5) {
			t.Errorf("%q is minute %d", text, n)
		}
	})
}
