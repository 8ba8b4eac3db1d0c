package transport

import (
	"math"
	"testing"
)

// The last streams that were reset are remembered, and no more than that.
func TestRecentIDs_RememberTheLast(t *testing.T) {
	var r recentIDs
	for id := uint32(1); id <= 3*recentMax; id++ {
		r.add(id)
		if first := max(1, int(id)-recentMax+1); !r.has(id) || !r.has(uint32(first)) || r.has(uint32(first-1)) && first > 1 || r.has(id+1) {
			t.Fatalf("after %d streams: has the last %v, the first of %d %v", id, r.has(id), recentMax, r.has(uint32(first)))
		}
	}
}

// The last gaps are remembered exactly, and no more than that.
func TestSkippedIDs_RememberTheLast(t *testing.T) {
	var s skippedIDs
	last := uint32(0)
	for _, id := range []uint32{3, 5, 7, 13, math.MaxInt32} {
		s.opened(last, id)
		last = id
	}
	for id, want := range map[uint32]bool{1: true, 3: false, 5: false, 7: false, 9: true, 11: true, 13: false, 15: true, math.MaxInt32 - 2: true, math.MaxInt32: false} {
		if s.has(id) != want {
			t.Errorf("stream %d passed over: %v, want %v", id, s.has(id), want)
		}
	}
	s = skippedIDs{}
	for id := uint32(5); id < 4*100; id += 4 { // 3, 7, 11, ... are passed over
		s.opened(id-4, id)
	}
	if len(s.gaps) != gapsMax || !s.has(395) || !s.has(395-4*(gapsMax-1)) || s.has(395-4*gapsMax) {
		t.Errorf("gaps are %v", s.gaps)
	}
}
