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

// skippedIDs remembers the last few gaps in the ids of the streams that a
// client has opened. Its own streams it opens in order and without any.
//
// "The first use of a new stream identifier implicitly closes all streams in
// the "idle" state that might have been initiated by that peer with a
// lower-valued stream identifier."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
type skippedIDs struct {
	gaps []idGap
	next int
}

// idGap is from the first id to the last.
type idGap struct{ first, last uint32 }

const gapsMax = 16

// opened notes that id was opened and, before it, none above last.
func (s *skippedIDs) opened(last, id uint32) {
	first := last + 2 // last is odd, or 0 if there was none
	if last == 0 {
		first = 1
	}
	switch gap := (idGap{first, id - 2}); {
	case first == id:
	case len(s.gaps) < gapsMax:
		s.gaps = append(s.gaps, gap)
	default:
		s.gaps[s.next] = gap
		s.next = (s.next + 1) % gapsMax
	}
}

func (s *skippedIDs) has(id uint32) bool {
	return slices.ContainsFunc(s.gaps, func(g idGap) bool { return g.first <= id && id <= g.last })
}
