package binlog

import (
	"maps"
	"net"
	"slices"
	"strings"

	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/metadata"
)

// traceKey is logged in any case, and counts for no limit.
const traceKey = "grpc-trace-bin"

// withheld reports whether metadata of a key is never logged: it is secret, or
// gRPC's own.
func withheld(key string) bool {
	switch key {
	case "lb-token", ":path", ":authority", "content-encoding", "content-type", "user-agent", "te", "authorization":
		return true
	case traceKey:
		return false
	}
	return strings.HasPrefix(key, "grpc-")
}

// logged gives what is logged of metadata, in the order of the keys, and whether
// something was left out for being more than limit octets of keys and values.
func logged(md metadata.MD, limit uint64) (out *pb.Metadata, cut bool) {
	out = new(pb.Metadata)
	for _, key := range slices.Sorted(maps.Keys(md)) {
		if withheld(key) {
			continue
		}
		for _, value := range md[key] {
			if size := uint64(len(key)) + uint64(len(value)); key != traceKey {
				if cut = cut || size > limit; cut {
					continue
				}
				if limit != unlimited {
					limit -= size
				}
			}
			out.Entry = append(out.Entry, &pb.MetadataEntry{Key: text(key), Value: []byte(value)})
		}
	}
	return out, cut
}

// address gives how the log names an address; nil has no name.
func address(a net.Addr) *pb.Address {
	switch a := a.(type) {
	case nil:
		return nil
	case *net.TCPAddr:
		kind := pb.Address_TYPE_IPV6
		switch {
		case a.IP.To4() != nil:
			kind = pb.Address_TYPE_IPV4
		case a.IP.To16() == nil:
			return &pb.Address{Type: pb.Address_TYPE_UNKNOWN}
		}
		return &pb.Address{Type: kind, Address: a.IP.String(), IpPort: uint32(a.Port)}
	case *net.UnixAddr:
		return &pb.Address{Type: pb.Address_TYPE_UNIX, Address: text(a.String())}
	}
	return &pb.Address{Type: pb.Address_TYPE_UNKNOWN}
}

// text replaces what is not UTF-8: protobuf takes no entry with such a string, so
// that a client could keep its calls out of the log by their :authority.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
