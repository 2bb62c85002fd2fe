package session

import "testing"

func TestStrict(t *testing.T) {
	for value, want := range map[string]bool{
		"AAAA.AAA.AA": true, "..": true, "AAAA..AA": true,
		"AAAA.AAA": false, "AAAA.AAA.AA.": false, "AAAA.AAA.AB": false, "AAAA.AAA.A": false,
		"AAAA.AAA.AA=": false, "AA+A.AAA.AA": false, "AAAA\n.AAA.AA": false, "AAAA.AAA.AA\r": false, "": false,
		"AAAA.AAA.AAAAAAAAAAAAAA": false,
	} {
		if Strict(value, 3, 20) != want {
			t.Errorf("Strict(%q) = %v", value, !want)
		}
	}
}
