package ads

import (
	"fmt"
	"testing"
)

// BenchmarkOneChange is what one user's change costs with four Envoys connected:
// compare the sizes, the cost must not grow with them.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			store := NewStore(func(Nack) {}, typeURL)
			all := make([]Resource, n)
			for i := range all {
				all[i] = scope(fmt.Sprintf("user%d", i), 1)
			}
			if err := store.Update(typeURL, all); err != nil {
				b.Fatal(err)
			}
			var envoys []*envoy
			for range 4 {
				e := &envoy{store: store, has: map[string]string{}}
				e.connect()
				e.answer()
				envoys = append(envoys, e)
			}
			for i := 0; b.Loop(); i++ {
				if err := store.Update(typeURL, []Resource{scope("user7", i+2)}); err != nil {
					b.Fatal(err)
				}
				for _, e := range envoys {
					e.answer()
				}
			}
		})
	}
}

// BenchmarkReconnect is an Envoy that comes back with everything it had.
func BenchmarkReconnect(b *testing.B) {
	const n = 100_000
	store := NewStore(func(Nack) {}, typeURL)
	all := make([]Resource, n)
	for i := range all {
		all[i] = scope(fmt.Sprintf("user%d", i), 1)
	}
	if err := store.Update(typeURL, all); err != nil {
		b.Fatal(err)
	}
	e := &envoy{store: store, has: map[string]string{}}
	e.connect()
	e.answer()
	for b.Loop() {
		e.connect()
		if got := len(e.pending.GetResources()); got != 0 {
			b.Fatalf("%d resources sent again", got)
		}
		e.answer()
	}
}
