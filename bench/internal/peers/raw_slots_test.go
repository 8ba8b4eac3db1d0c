package peers

import "testing"

func TestSlots(t *testing.T) {
	var s slots[int]
	values := [...]int{10, 11, 12}
	for i := range values {
		if id := s.open(&values[i]); id != uint64(i) {
			t.Errorf("value %d has the id %d", i, id)
		}
	}
	s.close(1)
	if s.used() != 2 || s.at(1) != nil || s.at(2) != &values[2] || s.at(3) != nil || s.at(1<<63) != nil {
		t.Errorf("%d in use: %v", s.used(), s.of)
	}
	if id := s.open(&values[0]); id != 1 || s.at(1) != &values[0] || s.used() != 3 {
		t.Errorf("the id that was free is not used again, but %d", id)
	}
}
