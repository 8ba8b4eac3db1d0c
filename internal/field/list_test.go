package field

import (
	"slices"
	"testing"
)

func TestListYieldsInOrderAndStops(t *testing.T) {
	fs := list("a: 1", "b: 2", "c: 3", "d: 4")
	l := List{Memo: &Memo{Fields: fs[:2]}, Rest: fs[2:]}
	if got := collect(&l); !slices.Equal(got, fs) {
		t.Errorf("yielded %v, want %v", got, fs)
	}
	for stop := 1; stop <= len(fs); stop++ {
		n := 0
		for f := range l.All {
			if f != fs[n] {
				t.Errorf("field %d is %v, want %v", n, f, fs[n])
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("yielded %d fields, want %d", n, stop)
		}
	}
}

func TestListResetKeepsRoomNotStrings(t *testing.T) {
	l := List{Memo: &Memo{}, Rest: list("a: 1", "b: 2"), Size: 66, TooLarge: true}
	array := l.Rest
	l.Reset()
	if l.Memo != nil || len(l.Rest) != 0 || l.Size != 0 || l.TooLarge {
		t.Errorf("not empty: %+v", l)
	}
	if cap(l.Rest) != cap(array) {
		t.Errorf("room for %d fields, want the %d there were", cap(l.Rest), cap(array))
	}
	if array[0] != (Field{}) || array[1] != (Field{}) {
		t.Errorf("still holds %v", array)
	}
	l.Rest = make([]Field, 0, keptRest+1)
	if l.Reset(); cap(l.Rest) != 0 {
		t.Errorf("kept room for %d fields, want none from a list that large", cap(l.Rest))
	}
}
