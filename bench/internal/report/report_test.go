package report

import (
	"strings"
	"testing"
)

func TestDocReplacesOnlyWhatIsBetweenItsMarkers(t *testing.T) {
	const doc = "a\n<!-- bench x: written by make bench -->\nold\n<!-- end of bench x -->\nb\n<!-- bench y: written by make bench -->\nkept\n<!-- end of bench y -->\n"
	got, err := between(doc, "x", "new")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(doc, "old", "\nnew\n", 1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	again, err := between(got, "x", "new")
	if err != nil || again != got {
		t.Errorf("a second time gives %q, %v", again, err)
	}
	for _, broken := range []string{"no marker", "<!-- bench x: written by make bench -->\nno end"} {
		if _, err := between(broken, "x", "new"); err == nil {
			t.Errorf("%q was accepted: text would be lost", broken)
		}
	}
}

func TestTableIsMarkdown(t *testing.T) {
	got := Table{Header: []string{"", "µs"}, Rows: [][]string{{"**a**"}, {"b", "1,000"}}}.Markdown()
	want := "|       |    µs |\n|-------|------:|\n| **a** |       |\n| b     | 1,000 |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{0.123: "0.12", 9.876: "9.88", 12.34: "12.3", 123.4: "123", 1234567.8: "1,234,568"} {
		if got := Number(x); got != want {
			t.Errorf("Number(%v) = %q, want %q", x, got, want)
		}
	}
	if got := Median([]float64{9, 1, 4}); got != 4 {
		t.Errorf("the median of three is %v", got)
	}
	for q, want := range map[float64]float64{0: 1, 0.5: 2, 0.75: 3, 0.95: 4, 1: 4} {
		if got := Quantile([]float64{4, 2, 3, 1}, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := Median([]float64{4, 1, 9, 2}); got != 3 {
		t.Errorf("the median of four is %v", got)
	}
}
