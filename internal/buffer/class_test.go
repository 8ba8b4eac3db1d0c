package buffer

import "testing"

func TestClassCapacities(t *testing.T) {
	first := []int{256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280}
	for c, want := range first {
		if got := classCapacity(c); got != want {
			t.Errorf("class %d holds %d octets, want %d", c, got, want)
		}
	}
	if got := classCapacity(classes - 1); got != 8<<20 {
		t.Errorf("the last class holds %d octets, want 8 MiB", got)
	}
}

// Every size is looked up, against the plain search.
func TestClassLookup(t *testing.T) {
	up, down := 0, 0
	for n := range maxCapacity + 1 {
		if n > classCapacity(up) {
			up++
		}
		if got := classFor(n); got != up {
			t.Fatalf("%d octets are of class %d, want %d (%d octets)", n, got, up, classCapacity(up))
		}
		if n < minCapacity {
			continue
		}
		if down+1 < classes && n >= classCapacity(down+1) {
			down++
		}
		if got := classWithin(n); got != down {
			t.Fatalf("a capacity of %d octets is filed under class %d, want %d (%d octets)", n, got, down, classCapacity(down))
		}
	}
}
