package spawn

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfileReportsEveryFault(t *testing.T) {
	p := Profile{Slug: "No!", Override: Override{
		ImagePullPolicy: "Sometimes", CPUGuarantee: 3, CPULimit: 2, MemGuarantee: "2G", MemLimit: "1G", StorageCapacity: "-1Gi",
	}}
	var got []string
	for _, f := range p.Validate() {
		got = append(got, f.Key)
	}
	want := []string{
		"display_name", "slug", "kubespawner_override.image", "kubespawner_override.image_pull_policy", "kubespawner_override.cpu_limit",
		"kubespawner_override.mem_limit", "kubespawner_override.storage_capacity",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMemory(t *testing.T) {
	for in, want := range map[Memory]int64{
		"": 0, "1": 1, "1K": 1024, "1.5K": 1536, "512M": 512 << 20, "2G": 2 << 30, "2Gi": 2 << 30, "1T": 1 << 40,
	} {
		if got, err := in.Bytes(); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []Memory{"x", "-1G", "1P", "1 G", "1GB", "1e9", "i", "999999999999T"} {
		if got, err := in.Bytes(); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func FuzzMemory(f *testing.F) {
	for _, s := range []string{"1G", "1.5Mi", "", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := Memory(s).Bytes(); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", s, n)
		}
	})
}
