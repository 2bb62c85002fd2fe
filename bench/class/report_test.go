package main

import (
	"strings"
	"testing"
	"time"
)

func class(in ...time.Duration) outcome {
	o := outcome{crowd: crowd{name: "x"}, pods: len(in)}
	for _, at := range in {
		o.people = append(o.people, person{in: at, refused: map[int]int{}})
	}
	return o
}

// TestVerdict: each thing that may not happen to a class ends the check.
func TestVerdict(t *testing.T) {
	good := class(2*time.Second, 30*time.Second)
	if err := verdict(good, true); err != nil {
		t.Errorf("a good class: %v", err)
	}
	for what, spoil := range map[string]func(*outcome){
		"late":             func(o *outcome) { o.people[1].in = aim + time.Second },
		"not in":           func(o *outcome) { o.people[1].in, o.people[1].fault = 0, "no server" },
		"without a pod":    func(o *outcome) { o.pods = 1 },
		"refused":          func(o *outcome) { o.people[0].refused[429] = 1 },
		"met a fault":      func(o *outcome) { o.people[0].refused[503] = 1 },
		"without answer":   func(o *outcome) { o.people[0].refused[0] = 1 },
		"start that fails": func(o *outcome) { o.people[0].failed = 1 },
	} {
		o := class(2*time.Second, 30*time.Second)
		spoil(&o)
		if verdict(o, true) == nil {
			t.Errorf("%s: nothing is said", what)
		}
		lost := o.people[1].in == 0 || o.people[1].in > aim || o.pods < 2
		if err := verdict(o, false); (err != nil) != lost {
			t.Errorf("%s, when a spawner was killed: %v", what, err)
		}
	}
}

func TestTable(t *testing.T) {
	o := class(2*time.Second, 0, 4*time.Second)
	o.people[0].came = time.Second
	o.people[0].refused[429] = 3
	got := strings.Fields(strings.ReplaceAll(strings.Split(table([]outcome{o}), "\n")[2], "|", " "))
	want := "x 3 2 0.00 2.00 4.00 4.00 4.00 4.00 4.00 3 0 0 0 0 0.00 0"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}
