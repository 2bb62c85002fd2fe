package pins

import "testing"

func TestParse(t *testing.T) {
	p, err := Parse("# why\n\nA=1.2\nB=sha256:ff\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Get("A"); err != nil || got != "1.2" {
		t.Errorf("A = %q, %v", got, err)
	}
	if _, err := p.Get("C"); err == nil {
		t.Error("a key that is not pinned was accepted")
	}
	for _, bad := range []string{"A", "=1", "A=", "A=\"1\"", "A=$B", "A=1\nA=2", "A=1 2"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) accepted", bad)
		}
	}
}
