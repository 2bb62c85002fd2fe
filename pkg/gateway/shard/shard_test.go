package shard_test

import (
	"fmt"
	"testing"

	"github.com/perijove/perijove/pkg/gateway/shard"
)

// Values of the reference implementation of FNV-1a, so that any other front can be checked by them.
func TestOf(t *testing.T) {
	for key, want := range map[string]int{"": 0x811c9dc5 % 10, "a": 0xe40c292c % 10, "foobar": 0xbf9cf968 % 10} {
		if got := shard.Of(key, 10); got != want {
			t.Errorf("Of(%q, 10) = %d, want %d", key, got, want)
		}
	}
}

func TestShardsAreEqual(t *testing.T) {
	const people, shards = 1_000_000, 10
	var sizes [shards]int
	for i := range people {
		sizes[shard.Of(fmt.Sprintf("user-%06d", i), shards)]++
	}
	for n, size := range sizes {
		if size < people/shards*98/100 || size > people/shards*102/100 {
			t.Errorf("shard %d has %d people, want %d", n, size, people/shards)
		}
	}
}

func TestEachScopeIsInOneShard(t *testing.T) {
	for _, key := range []string{"alice", "a%40b", "a@b", "%C3%A9", ""} {
		var in int
		for n := range 7 {
			if (shard.Shard{Number: n, Of: 7}).Has(key) {
				in++
			}
		}
		if in != 1 {
			t.Errorf("%q is in %d shards", key, in)
		}
	}
}

func TestServesEachSpelling(t *testing.T) {
	const owner = "a+b@c" // a%2Bb@c, a+b@c, a%2Bb%40c
	for _, spelling := range []string{"a%2Bb@c", "a+b@c", "a%2Bb%40c"} {
		s := shard.Shard{Number: shard.Of(spelling, 100), Of: 100}
		if !s.Serves(owner) {
			t.Errorf("the shard of %s does not serve %s", spelling, owner)
		}
	}
	if other := (shard.Shard{Number: (shard.Of("alice", 100) + 1) % 100, Of: 100}); other.Serves("alice") {
		t.Error("alice is in a shard that is not hers")
	}
}

func TestTheWholeHasEverybody(t *testing.T) {
	for _, s := range []shard.Shard{{}, {Of: 1}} {
		if !s.Has("alice") || !s.Serves("alice") {
			t.Errorf("%+v lacks alice", s)
		}
	}
}
