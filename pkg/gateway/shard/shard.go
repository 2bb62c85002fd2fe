package shard

import (
	"hash/fnv"

	"github.com/perijove/perijove/pkg/server"
)

// Shard is one part of all owners; the zero value is the whole.
type Shard struct {
	// Number counts from 0 and is below Of.
	Number int `yaml:"number"`
	// Of is how many shards there are; 0 is one that has everybody.
	Of int `yaml:"of"`
}

// Of returns the number of the shard, below count, that has the scope of the given key: the second
// segment of a path as the client wrote it. It is FNV-1a in 32 bits, modulo count.
// http://www.isthe.com/chongo/tech/comp/fnv/
func Of(key string, count int) int {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(key))
	return int(sum.Sum32() % uint32(count))
}

// Has reports whether the scope of the given key is in this shard.
func (s Shard) Has(key string) bool { return s.Of < 2 || Of(key, s.Of) == s.Number }

// Serves reports whether any of the owner's scopes is in this shard. An owner whose name has several
// spellings in a path may have them in several.
func (s Shard) Serves(owner string) bool {
	if s.Of < 2 {
		return true
	}
	for _, key := range server.Spellings(owner) {
		if s.Has(key) {
			return true
		}
	}
	return false
}
