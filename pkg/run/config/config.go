package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Load decodes the YAML file at path into the struct that into points to.
// Unknown keys and type mismatches are returned together, one per line with the
// line number. Durations are written as Go writes them: 30s, 12h.
func Load(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if err := Decode(data, into); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return nil
}

// Decode is Load for bytes.
func Decode(data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	if err != nil {
		return err
	}
	if dec.Decode(new(yaml.Node)) != io.EOF {
		return errors.New("more than one YAML document")
	}
	return nil
}

// Faults collects what is wrong with a configuration. The zero value is ready.
type Faults struct{ list []string }

// Addf records a fault of key, written as the user writes it (ldap.urls[0]).
func (f *Faults) Addf(key, format string, args ...any) {
	f.list = append(f.list, key+": "+fmt.Sprintf(format, args...))
}

// Check records msg for key unless ok.
func (f *Faults) Check(ok bool, key, msg string) {
	if !ok {
		f.Addf(key, "%s", msg)
	}
}

// Bounds are the least and the greatest value of a duration. A zero Max is no bound.
type Bounds struct{ Min, Max time.Duration }

// Within records a fault for key unless d lies within b.
func (f *Faults) Within(key string, d time.Duration, b Bounds) {
	f.Check(d >= b.Min && (b.Max == 0 || d <= b.Max), key, "must be "+b.String())
}

// String is "at least 1s" or "between 1m and 1h".
func (b Bounds) String() string {
	if b.Max == 0 {
		return "at least " + short(b.Min)
	}
	return "between " + short(b.Min) + " and " + short(b.Max)
}

// short is d without the zeros that time.Duration ends with: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// Required records a fault for each key whose value is empty.
func (f *Faults) Required(values map[string]string) {
	keys := make([]string, 0, len(values))
	for k, v := range values {
		if v == "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		f.Addf(k, "is required")
	}
}

// Err returns nil, or one error that lists every fault, a line each.
func (f *Faults) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	return fmt.Errorf("%d fault(s) in the configuration:\n  %s", len(f.list), strings.Join(f.list, "\n  "))
}

// SecretFile reads a secret of at least minBytes from path, without a trailing
// newline. The error never holds the content.
func SecretFile(path string, minBytes int) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) < minBytes {
		return nil, fmt.Errorf("secret %s has %d bytes; it needs at least %d", path, len(data), minBytes)
	}
	return data, nil
}
