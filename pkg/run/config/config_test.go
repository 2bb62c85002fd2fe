package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/config"
)

type sample struct {
	Name    string        `yaml:"name"`
	Timeout time.Duration `yaml:"timeout"`
	LDAP    struct {
		URLs []string `yaml:"urls"`
	} `yaml:"ldap"`
}

func TestDecode(t *testing.T) {
	s := sample{Timeout: time.Second}
	if err := config.Decode([]byte("name: x\nldap: {urls: [a, b]}\n"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "x" || s.Timeout != time.Second || len(s.LDAP.URLs) != 2 {
		t.Errorf("decoded %+v", s)
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	err := config.Decode([]byte("nmae: x\ntimeout: soon\nldap: {url: a}\n"), new(sample))
	if err == nil {
		t.Fatal("three faults went unnoticed")
	}
	for _, key := range []string{"nmae", "soon", "url"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("the error does not name %s:\n%v", key, err)
		}
	}
	var f config.Faults
	f.Required(map[string]string{"b": "", "a": "", "c": "set"})
	f.Check(false, "d", "must be odd")
	if got := f.Err().Error(); !strings.Contains(got, "a: is required\n  b: is required\n  d: must be odd") {
		t.Errorf("faults = %s", got)
	}
	if (&config.Faults{}).Err() != nil {
		t.Error("no faults is an error")
	}
}

func TestBounds(t *testing.T) {
	for b, want := range map[config.Bounds]string{
		{Min: time.Second}:                             "at least 1s",
		{Min: time.Minute, Max: 744 * time.Hour}:       "between 1m and 744h",
		{Min: 90 * time.Second, Max: 10 * time.Minute}: "between 1m30s and 10m",
	} {
		if b.String() != want {
			t.Errorf("%#v is %q, want %q", b, b, want)
		}
	}
	b := config.Bounds{Min: time.Minute, Max: time.Hour}
	for d, bad := range map[time.Duration]bool{59 * time.Second: true, time.Minute: false, time.Hour: false, time.Hour + 1: true} {
		var f config.Faults
		f.Within("x", d, b)
		if (f.Err() != nil) != bad {
			t.Errorf("%v within 1m and 1h: %v", d, f.Err())
		}
	}
}

func TestEmptyAndDoubleDocumentsAreRefused(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "name: a\n---\nname: b\n"} {
		if config.Decode([]byte(text), new(sample)) == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("sekretsekret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.SecretFile(path, 12)
	if err != nil || string(got) != "sekretsekret" {
		t.Errorf("SecretFile = %q, %v", got, err)
	}
	if _, err := config.SecretFile(path, 13); err == nil || strings.Contains(err.Error(), "sekret") {
		t.Errorf("a short secret: %v; want an error without its content", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: x\ntimeout: 3s\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) { _ = config.Decode(data, new(sample)) })
}
