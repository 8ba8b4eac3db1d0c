// Package grpcwire is gRPC on the wire of HTTP/2: message prefixes,
// compression, status, timeouts, metadata, and the tables that turn other
// protocols' codes into gRPC's.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
package grpcwire

import (
	"encoding/binary"
	"fmt"
)

// PrefixLen is the length of what stands before each message, in octets: a
// flag that says whether it is compressed, and its length.
const PrefixLen = 5

// PutPrefix writes the prefix of a message of n octets to b.
func PutPrefix(b []byte, compressed bool, n int) {
	_ = b[PrefixLen-1]
	b[0] = 0
	if compressed {
		b[0] = 1
	}
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}

// ParsePrefix reads the prefix at the start of b. It fails if the flag is
// neither 0 nor 1.
func ParsePrefix(b []byte) (compressed bool, n uint32, err error) {
	_ = b[PrefixLen-1]
	if b[0] > 1 {
		return false, 0, fmt.Errorf("the flag before it is %d, not 0 or 1", b[0])
	}
	return b[0] == 1, binary.BigEndian.Uint32(b[1:]), nil
}
