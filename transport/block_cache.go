package transport

import "github.com/weir-rpc/weir/internal/field"

// blockCache keeps header blocks that recur, each for what it depends on.
// Guarded by conn.mu. The zero value is empty.
type blockCache[K comparable] struct {
	// What was looked for last: most calls of a connection are alike, and as long
	// as all are there is no map.
	last *blockFor[K]
	all  map[K]*blockFor[K]
}

type blockFor[K comparable] struct {
	key   K
	block field.Block
}

// find gives the block for a key, or nil.
func (c *blockCache[K]) find(key K) *field.Block {
	b := c.last
	if b == nil {
		return nil
	}
	if key != b.key {
		if b = c.all[key]; b == nil {
			return nil
		}
		c.last = b
	}
	return &b.block
}

// keep gives a block for a key that has none. It forgets all others rather than
// keep more than most.
func (c *blockCache[K]) keep(key K, most int) *field.Block {
	b := &blockFor[K]{key: key}
	if c.last != nil {
		if c.all == nil {
			c.all = map[K]*blockFor[K]{c.last.key: c.last}
		}
		if len(c.all) >= most {
			clear(c.all)
		}
		c.all[key] = b
	}
	c.last = b
	return &b.block
}
