package transport

import (
	"strconv"
	"testing"
	"unsafe"
)

// Connections and streams just fit size classes of the allocator, of which eight
// octets are its own above 512. Whoever adds a field looks here first.
func TestSizes(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64 bits")
	}
	for _, tt := range []struct {
		what       string
		size, most uintptr
	}{
		{"a server's connection", unsafe.Sizeof(http2Server{}), 2304},
		{"a client's connection", unsafe.Sizeof(http2Client{}), 1792},
		{"a client's stream", unsafe.Sizeof(http2ClientStream{}), 448},
		{"what a connection counts", unsafe.Sizeof(tally{}), 128},
		{"a server's stream", unsafe.Sizeof(http2ServerStream{}), 128},
		{"the stream of either", unsafe.Sizeof(stream{}), 352},
	} {
		if tt.size > 512 {
			tt.size += 8
		}
		if tt.size > tt.most {
			t.Errorf("%s takes %d octets, more than its size class of %d", tt.what, tt.size, tt.most)
		}
	}
}
