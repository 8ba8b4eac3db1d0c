package weir

import (
	"strconv"
	"testing"
	"unsafe"
)

// A stream that is open takes memory as long as it is: it just fits a size class
// of the allocator, of which eight octets are its own. Whoever adds a field
// looks here first.
func TestClientStreamSize(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the size is that of 64 bits")
	}
	if n := unsafe.Sizeof(clientStream{}) + 8; n > 512 {
		t.Errorf("a stream takes %d octets, more than its size class of 512", n)
	}
}
