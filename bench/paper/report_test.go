package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/bench/internal/ab"
)

// ran is a result whose percentiles grow from the first figure to the second.
func ran(from, to float64) ab.Result {
	r := ab.Result{PerSecond: 1000}
	for i := range 101 {
		r.Percentiles = append(r.Percentiles, from+(to-from)*float64(i)/100)
	}
	return r
}

// sample is a run of all with the times of ours on every page.
func sample(ours ...ab.Result) []*contestant {
	all := []*contestant{{name: nameAlone}, {name: nameHub}, {name: "Perijove"}}
	for i, c := range all {
		c.runs = map[page][]ab.Result{}
		for _, p := range pages() {
			c.runs[p] = [][]ab.Result{{ran(10, 20), ran(20, 40)}, {ran(100, 200), ran(200, 400)}, ours}[i]
		}
	}
	delete(all[0].runs, pageLogin)
	delete(all[0].runs, pageHub)
	return all
}

func TestTable(t *testing.T) {
	rows := strings.Split(table(sample(ran(5, 50), ran(10, 100))), "\n")
	var got []string
	for _, row := range rows {
		if strings.Contains(row, "Perijove") {
			got = append(got, strings.Join(strings.Fields(strings.ReplaceAll(row, "|", " ")), " "))
		}
	}
	const figures = "1,000 41.2 52.0 59.2 63.8 68.2 72.0 73.5 74.2 75.0"
	if len(got) != len(pages()) || !strings.HasPrefix(got[3], "Perijove 1,000 41.2 ") || !strings.HasSuffix(got[3], " 75.0 1.83 5.45 times 4.00, at 100 %") {
		t.Errorf("%q (like %s)", got, figures)
	}
	if strings.HasSuffix(got[0], "1.83 5.45 times 4.00, at 100 %") {
		t.Errorf("compared with JupyterLab alone, which has no such page: %q", got[0])
	}
}

// TestTimesOfTheSameRound: a round in which the machine was busy counts as any other.
func TestTimesOfTheSameRound(t *testing.T) {
	a, b := []ab.Result{ran(1, 1), ran(10, 10), ran(1, 1)}, []ab.Result{ran(2, 2), ran(20, 20), ran(2, 2)}
	if got := times(b, a, median); got != 2 {
		t.Errorf("%v", got)
	}
	if at, ratio := least([]ab.Result{ran(10, 1)}, []ab.Result{ran(1, 1)}); at != 100 || ratio != 1 {
		t.Errorf("%v at %d", ratio, at)
	}
}

func TestVerdict(t *testing.T) {
	for what, c := range map[string]struct {
		ours ab.Result
		bad  string
	}{
		"fast":                    {ran(5, 20), ""},
		"slower than alone":       {ran(14, 30), "JupyterLab alone"},
		"not five times as fast":  {ran(40, 41), "the aim is 5"},
		"slower at the very end":  {ran(1, 500), "at 100 %"},
		"slower at the beginning": {func() ab.Result { r := ran(5, 20); r.Percentiles[0] = 300; return r }(), "at 0 %"},
	} {
		err := verdict(sample(c.ours, func() ab.Result { // the same, on a machine half as fast
			var slow ab.Result
			for _, ms := range c.ours.Percentiles {
				slow.Percentiles = append(slow.Percentiles, 2*ms)
			}
			return slow
		}()))
		if (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if verdict([]*contestant{{name: "Perijove"}}) == nil {
		t.Error("nothing was measured, and that is well")
	}
}

// TestPages: the bundle is found where the page of JupyterLab names it, with the headers that
// ApacheBench will send; any answer but 200 ends the run.
func TestPages(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "hub.test" || r.Header.Get("Cookie") != "a=b" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case base + "lab":
			_, _ = w.Write([]byte(`<script defer src="` + base + `static/lab/main.0123abc.js?v=0123abc"></script>`))
		case base + "moved":
			http.Redirect(w, r, base+"lab", http.StatusFound)
		}
	}))
	defer s.Close()
	at := site{s.URL, []string{"Host: hub.test", "Cookie: a=b"}}
	to, err := at.static(context.Background())
	if err != nil || to.URL != s.URL+base+"static/lab/main.0123abc.js" {
		t.Errorf("%+v %v", to, err)
	}
	if _, err := fetch(context.Background(), at.page(base+"moved")); err == nil {
		t.Error("a redirect was followed: ApacheBench would not")
	}
	if _, err := (site{address: s.URL}).static(context.Background()); err == nil {
		t.Error("a refusal was taken for the page")
	}
}
