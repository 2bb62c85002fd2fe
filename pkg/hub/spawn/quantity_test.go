package spawn

import (
	"testing"

	"github.com/perijove/perijove/pkg/run/config"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	for in, want := range map[Memory]int64{
		"": 0, "0": 0, "1": 1, "1K": 1024, "1.5K": 1536, "512M": 512 << 20, "2G": 2 << 30, "2Gi": 2 << 30, "1T": 1 << 40, "1P": 1 << 50, "1Ei": 1 << 60,
		"1e9": 1e9, "5.36870912e+08": 512 << 20, "1k": 1000, "1E3": 1000, "128974848000m": 128974848, "0.5Gi": 512 << 20,
	} {
		if got, err := in.Bytes(); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []Memory{"x", "-1G", "1 G", "1GB", "i", "999999999999T", "1e30", "0x10", "1_000", "Inf", "1Gii", " 1", "1\n"} {
		if got, err := in.Bytes(); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestCores(t *testing.T) {
	t.Parallel()
	for in, want := range map[Cores]int64{"": 0, "0": 0, "0.5": 500, "500m": 500, ".5": 500, "2": 2000, "0.29": 290, "1e-1": 100, "1m": 1, "1024": 1024000, "1k": 1e6} {
		if got, err := in.Milli(); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []Cores{"x", "-1", "1025", "0.0001", "500u", "1 core", "true", "1,5"} {
		if got, err := in.Milli(); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[Memory]string{"": "", "0": "", "512M": "512 MiB", "1536M": "1.5 GiB", "1G": "1 GiB", "1000000000": "953.7 MiB", "100": "100 B", "x": ""} {
		if got := in.Words(); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[Cores]string{"": "", "500m": "0.5", "2": "2", "0.25": "0.25", "x": ""} {
		if got := in.Words(); got != want {
			t.Errorf("%q cores are %q, want %q", in, got, want)
		}
	}
}

// TestAmountsAsFilesHaveThem: YAML has numbers and texts, and Helm writes large numbers with an
// exponent.
func TestAmountsAsFilesHaveThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		yaml     string
		cpu, mem int64
		extra    int64
		home     string
	}{
		{"{cpu_limit: 0.5, mem_limit: 536870912, extra_resource_limits: {nvidia.com/gpu: 1}, storage_capacity: 10737418240}", 500, 512 << 20, 1, "10 GiB"},
		{`{cpu_limit: "500m", mem_limit: "512Mi", extra_resource_limits: {nvidia.com/gpu: "1"}, storage_capacity: 10Gi}`, 500, 512 << 20, 1, "10 GiB"},
		{"{cpu_limit: 500m, mem_limit: 5.36870912e+08, storage_capacity: 1.073741824e+10, extra_resource_limits: {nvidia.com/gpu: 1e0}}", 500, 512 << 20, 1, "10 GiB"},
		{"{cpu_limit: 2, mem_limit: 1.5G, extra_resource_limits: {nvidia.com/gpu: 2}}", 2000, 3 << 29, 2, "1 GiB"},
		{"{cpu_limit: 0, mem_limit: 0, extra_resource_limits: {nvidia.com/gpu: 0}}", 0, 0, 0, "1 GiB"},
	} {
		p := Profile{DisplayName: "x", Slug: "x"}
		if err := config.Decode([]byte(c.yaml), &p.Override); err != nil {
			t.Errorf("%s: %v", c.yaml, err)
			continue
		}
		p.Override.Image = "x"
		if faults := p.Validate(); len(faults) > 0 {
			t.Errorf("%s: %v", c.yaml, faults)
		}
		limits := p.Override.resources().Limits
		gpu := limits["nvidia.com/gpu"]
		if limits.Cpu().MilliValue() != c.cpu || limits.Memory().Value() != c.mem || gpu.Value() != c.extra || p.Override.Storage() != c.home {
			t.Errorf("%s: %v, a home of %s", c.yaml, limits, p.Override.Storage())
		}
	}
}

func FuzzAmounts(f *testing.F) {
	for _, s := range []string{"1G", "1.5Mi", "", "x", "5e+08", "500m", "1e-2147483647", "1e2147483647"} { // the last two would take minutes
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := Memory(s).Bytes(); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", s, n)
		}
		if n, err := Cores(s).Milli(); err == nil && (n < 0 || n > 1024000) {
			t.Errorf("%q is %d thousandths", s, n)
		}
		if q, err := Amount(s).quantity(); err == nil && q.Sign() < 0 {
			t.Errorf("%q is %s", s, q.String())
		}
	})
}
