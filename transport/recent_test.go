package transport

import "testing"

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
