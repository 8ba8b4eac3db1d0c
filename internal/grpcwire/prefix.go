package grpcwire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// PrefixLen is the length of what stands before each message, in octets: a
// flag that says whether it is compressed, and its length.
const PrefixLen = 5

// PutPrefix writes the prefix of a message of n octets to b, which has
// PrefixLen octets or more. It panics if the prefix cannot say n.
func PutPrefix(b []byte, compressed bool, n int) {
	if n < 0 || uint64(n) > math.MaxUint32 {
		panic("BUG: a message of a length that 32 bits cannot say")
	}
	_ = b[PrefixLen-1]
	b[0] = 0
	if compressed {
		b[0] = 1
	}
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}

// ParsePrefix reads the prefix at the start of b, which has PrefixLen octets
// or more. It fails if the flag is neither 0 nor 1; the status of the call is
// INTERNAL then, and nothing that follows can be told apart.
func ParsePrefix(b []byte) (compressed bool, n uint32, err error) {
	_ = b[PrefixLen-1]
	if b[0] > 1 {
		return false, 0, fmt.Errorf("the flag before it is %d, not 0 or 1", b[0])
	}
	return b[0] == 1, binary.BigEndian.Uint32(b[1:]), nil
}

// TooLarge says that a message of n octets is more than its receiver accepts,
// which is the client if client is set, else the server. Either side may read
// it.
func TooLarge(client bool, n, limit uint32) string {
	if client {
		return fmt.Sprintf("the server sent a message of %d octets, the client accepts %d (its option MaxCallRecvMsgSize, or maxResponseMessageBytes of its service config)", n, limit)
	}
	return fmt.Sprintf("the client sent a message of %d octets, the server accepts %d (its option MaxRecvMsgSize)", n, limit)
}
