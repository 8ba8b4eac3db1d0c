package transport

import "slices"

// recentIDs remembers the last few streams that we reset, whose late frames
// are to be expected.
//
// "An endpoint MUST ignore frames that it receives on closed streams after it
// has sent a RST_STREAM frame."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
type recentIDs struct {
	ids  []uint32
	next int
}

const recentMax = 128

func (r *recentIDs) add(id uint32) {
	if len(r.ids) < recentMax {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % recentMax
}

func (r *recentIDs) remove(id uint32) {
	if i := slices.Index(r.ids, id); i >= 0 {
		r.ids[i] = 0
	}
}

func (r *recentIDs) has(id uint32) bool { return slices.Contains(r.ids, id) }
