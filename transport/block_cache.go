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

// find gives the block for a key, an empty one if there is none yet. It forgets
// all others rather than keep more than most.
func (c *blockCache[K]) find(key K, most int) *field.Block {
	if b := c.last; b != nil && b.key == key {
		return &b.block
	}
	return c.other(key, most)
}

// other is find for another key than that of the last call.
func (c *blockCache[K]) other(key K, most int) *field.Block {
	b := c.all[key]
	if b == nil {
		b = &blockFor[K]{key: key}
		if c.last != nil {
			if c.all == nil {
				c.all = map[K]*blockFor[K]{c.last.key: c.last}
			}
			if len(c.all) >= most {
				clear(c.all)
			}
			c.all[key] = b
		}
	}
	c.last = b
	return &b.block
}
