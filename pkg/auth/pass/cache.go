package pass

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Cache remembers which tokens were genuine, since a page asks hundreds of times with
// one pass and a signature costs more than everything else about a request. Time is
// judged anew on each call; what was not genuine is not remembered, so that garbage
// fills nothing. It is safe for concurrent use and holds at most two times its size.
type Cache struct {
	ring *Ring
	size int

	mu         sync.Mutex
	keys       *keySet // that judged what is remembered
	young, old map[[sha256.Size]byte]Pass
}

// NewCache returns a Cache over ring with room for size tokens before the oldest half
// is forgotten.
func NewCache(ring *Ring, size int) *Cache {
	return &Cache{ring: ring, size: size, young: map[[sha256.Size]byte]Pass{}}
}

// Verify is Ring.Verify.
func (c *Cache) Verify(token string, now time.Time) (Pass, State) {
	if len(token) > maxToken {
		return Pass{}, Bad
	}
	key := sha256.Sum256([]byte(token))
	if p, ok := c.get(key); ok {
		return p.at(now)
	}
	keys := c.ring.keys.Load()
	p, ok := c.ring.genuine(token)
	if !ok {
		return Pass{}, Bad
	}
	c.put(key, p, keys)
	return p.at(now)
}

func (c *Cache) get(key [sha256.Size]byte) (Pass, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetOldKeys()
	p, ok := c.young[key]
	if !ok {
		p, ok = c.old[key]
	}
	return p, ok
}

func (c *Cache) put(key [sha256.Size]byte, p Pass, judgedBy *keySet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetOldKeys()
	if c.keys != judgedBy {
		return // the keys changed in between
	}
	if len(c.young) >= c.size {
		c.young, c.old = map[[sha256.Size]byte]Pass{}, c.young
	}
	c.young[key] = p
}

// forgetOldKeys must be called with mu held. What a key that was taken off the ring had
// signed is genuine no longer.
func (c *Cache) forgetOldKeys() {
	if now := c.ring.keys.Load(); now != c.keys {
		c.keys, c.young, c.old = now, map[[sha256.Size]byte]Pass{}, nil
	}
}
