package server

import (
	"regexp"
	"strings"
	"testing"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func TestHostLabels(t *testing.T) {
	seen := map[string]string{}
	for _, user := range []string{
		"alice", "Alice", "ALICE", "alice@example.org", "álice", "xn--bcher-kva", "xn", "Xn", "xn-", "a.b", "a--b", "a-b", "-", "1", "数学",
		strings.Repeat("a", MaxName), strings.Repeat("a", MaxName-1) + "b",
	} {
		label := HostLabel(user)
		if !dnsLabel.MatchString(label) || strings.HasPrefix(label, "xn--") {
			t.Errorf("%q has the label %q", user, label)
		}
		if other, taken := seen[label]; taken {
			t.Errorf("%q and %q share the host %q", user, other, label)
		}
		seen[label] = user
	}
	if got := HostLabel("alice"); got != "alice" {
		t.Errorf("alice has the label %q", got)
	}
}

func FuzzHostLabel(f *testing.F) {
	f.Add("alice", "Alice")
	f.Add("Xn", "xxn")
	f.Fuzz(func(t *testing.T, a, b string) {
		if ValidUser(a) != nil || ValidUser(b) != nil {
			return
		}
		label := HostLabel(a)
		if !dnsLabel.MatchString(label) || strings.HasPrefix(label, "xn--") {
			t.Errorf("%q has the label %q", a, label)
		}
		if a != b && label == HostLabel(b) {
			t.Errorf("%q and %q share the host %q", a, b, label)
		}
	})
}
