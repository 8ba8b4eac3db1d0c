package field

import (
	"math"
	"testing"
)

// "The size of an entry is the sum of its name's length in octets (as defined
// in Section 5.2), its value's length in octets, and 32."
// https://www.rfc-editor.org/rfc/rfc7541#section-4.1
func TestFieldSize(t *testing.T) {
	if got := (Field{Name: "custom-key", Value: "custom-header"}).Size(); got != 55 {
		t.Errorf("size %d, want 55", got)
	}
	if got := (Field{}).Size(); got != 32 {
		t.Errorf("size of an empty field %d, want 32", got)
	}
	if got := fieldSize(math.MaxUint32, 1); got != math.MaxUint32 {
		t.Errorf("size %d of more than 32 bits, want the highest", got)
	}
	if got := addSize(math.MaxUint32-1, 2); got != math.MaxUint32 {
		t.Errorf("sum %d of more than 32 bits, want the highest", got)
	}
}
