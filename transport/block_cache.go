package transport

import "github.com/weir-rpc/weir/internal/field"

// blockCache keeps header blocks that recur, each for what it depends on.
// Guarded by conn.mu. The zero value is empty.
type blockCache[K comparable] struct {
	// What was looked for last: most calls of a connection are alike, and as long
	// as all are there is no map.
	last    K
	lastHas *field.Block
	all     map[K]*field.Block
}

// find gives the block for a key, or nil.
func (c *blockCache[K]) find(key K) *field.Block {
	if c.lastHas != nil && key == c.last {
		return c.lastHas
	}
	b := c.all[key]
	if b != nil {
		c.last, c.lastHas = key, b
	}
	return b
}

// keep takes the block for a key that has none. It forgets all others rather
// than keep more than most.
func (c *blockCache[K]) keep(key K, b *field.Block, most int) {
	if c.lastHas != nil {
		if c.all == nil {
			c.all = map[K]*field.Block{c.last: c.lastHas}
		}
		if len(c.all) >= most {
			clear(c.all)
		}
		c.all[key] = b
	}
	c.last, c.lastHas = key, b
}
