package field

import (
	"fmt"
	"slices"
	"testing"
)

// entryOf gives a field that counts exactly size octets.
func entryOf(n int, size uint32) Field {
	name := fmt.Sprintf("f%03d", n)
	return Field{Name: name, Value: string(make([]byte, int(size)-entryOverhead-len(name)))}
}

// The ring against a slice that is shifted by hand, over growth, wrapping,
// evictions and resizes.
func TestTableIsAQueue(t *testing.T) {
	tab := table{max: 4096}
	var model []Field // newest first
	modelSize := func() (n uint32) {
		for _, f := range model {
			n += f.Size()
		}
		return n
	}
	check := func(step string) {
		t.Helper()
		if got := tab.newest(); !slices.Equal(got, model) || tab.size != modelSize() {
			t.Fatalf("%s: %d entries of %d octets, want %d of %d", step, len(got), tab.size, len(model), modelSize())
		}
		if last := staticLen + uint32(len(model)); tab.last() != last {
			t.Fatalf("%s: last index %d, want %d", step, tab.last(), last)
		}
		if _, ok := tab.number(tab.last() + 1); ok {
			t.Fatalf("%s: an index past the end has an entry", step)
		}
	}
	for i := range 400 {
		f := entryOf(i, 36+uint32(i*37%120))
		tab.insert(f)
		model = slices.Insert(model, 0, f)
		for modelSize() > tab.max {
			model = model[:len(model)-1]
		}
		check(fmt.Sprint("insert ", i))
		if i%50 == 49 {
			tab.resize([]uint32{100, 4096, 2048, 0}[i/50%4])
			for modelSize() > tab.max {
				model = model[:len(model)-1]
			}
			check(fmt.Sprint("resize to ", tab.max))
			tab.resize(4096)
		}
	}
	if tab.inserted != 400 {
		t.Errorf("counted %d inserts, want 400: numbers are never given twice", tab.inserted)
	}
}

// What is evicted is not held on to.
func TestTableForgetsWhatItEvicts(t *testing.T) {
	tab := table{max: 4096}
	for i := range 20 {
		tab.insert(entryOf(i, 100))
	}
	tab.resize(0)
	for i, f := range tab.ring {
		if f != (Field{}) {
			t.Errorf("place %d still holds %s", i, f.Name)
		}
	}
}
