package channel

import (
	"strconv"
	"testing"
	"unsafe"
)

// What a Client holds for ever stays in its size class: there are as many as a
// process has servers to talk to.
func TestSizes(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64 bits")
	}
	const header = 8 // of an object with pointers over 512 octets
	if n := unsafe.Sizeof(Channel{}) + header; n > 512 {
		t.Errorf("a Channel takes %d octets, more than its size class of 512", n)
	}
	if n := unsafe.Sizeof(dialer{}); n > 352 {
		t.Errorf("a dialer takes %d octets, more than its size class of 352", n)
	}
}
