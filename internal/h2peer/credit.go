package h2peer

import (
	"fmt"

	"golang.org/x/net/http2"
)

// A credit is what the subject may still send: what we granted, less the DATA
// that arrived. A grant counts from when it is written, a window made smaller
// only once the subject has acknowledged it.
type credit struct {
	off      bool             // raw octets were written: we no longer know
	conn     int64            // of the connection
	initial  int64            // of a stream that is not in streams
	streams  map[uint32]int64 // of streams that had DATA or a grant
	sent     int64            // the initial window of the SETTINGS written last
	unacked  [][]http2.Setting
	decrease []int64 // for each of unacked
}

func newCredit() credit {
	return credit{conn: defaultWindow, initial: defaultWindow, sent: defaultWindow, streams: make(map[uint32]int64)}
}

// settings notes SETTINGS that are about to be written.
func (c *credit) settings(settings []http2.Setting) {
	var decrease int64
	for _, s := range settings {
		if s.ID != http2.SettingInitialWindowSize {
			continue
		}
		delta := int64(s.Val) - c.sent
		c.sent = int64(s.Val)
		if delta > 0 {
			c.adjust(delta)
		} else {
			decrease += delta
		}
	}
	c.unacked = append(c.unacked, settings)
	c.decrease = append(c.decrease, decrease)
}

// acked gives the SETTINGS that the subject has acknowledged, and whether
// there were any to acknowledge.
func (c *credit) acked() ([]http2.Setting, bool) {
	if len(c.unacked) == 0 {
		return nil, false
	}
	settings := c.unacked[0]
	c.adjust(c.decrease[0])
	c.unacked, c.decrease = c.unacked[1:], c.decrease[1:]
	return settings, true
}

func (c *credit) adjust(delta int64) {
	c.initial += delta
	for id := range c.streams {
		c.streams[id] += delta
	}
}

func (c *credit) stream(id uint32) int64 {
	if n, ok := c.streams[id]; ok {
		return n
	}
	return c.initial
}

func (c *credit) granted(id, n uint32) {
	if id == 0 {
		c.conn += int64(n)
	} else {
		c.streams[id] = c.stream(id) + int64(n)
	}
}

// spend takes the octets of a DATA frame and says what is wrong with it, if
// anything.
func (c *credit) spend(id, n uint32) (fault string) {
	if c.off {
		return ""
	}
	if left := c.conn; int64(n) > left {
		return fmt.Sprintf("DATA of %d octets on stream %d, with credit for %d on the connection", n, id, left)
	}
	if left := c.stream(id); int64(n) > left && n > 0 {
		return fmt.Sprintf("DATA of %d octets on stream %d, with credit for %d on the stream", n, id, left)
	}
	c.conn -= int64(n)
	c.streams[id] = c.stream(id) - int64(n)
	return ""
}
