package grpcwire

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const hexDigits = "0123456789ABCDEF"

// plain reports whether an octet of grpc-message stands for itself.
func plain(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }

// EncodeMessage gives s as the value of grpc-message: UTF-8, with all octets
// but printable ASCII percent-encoded. What is not UTF-8 becomes U+FFFD. A
// space at either end is encoded too, although gRPC allows it as it is:
//
// "A field value MUST NOT start or end with an ASCII whitespace character
// (ASCII SP or HTAB, 0x20 or 0x09)."
// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
//
// A message of printable ASCII is given as it is.
func EncodeMessage(s string) string {
	if s == "" {
		return ""
	}
	if s[0] == ' ' {
		return escape(s, 0)
	}
	for i := range len(s) {
		if !plain(s[i]) {
			return escape(s, i)
		}
	}
	if s[len(s)-1] == ' ' {
		return escape(s, len(s)-1)
	}
	return s
}

// escape encodes s, of which everything before from stands for itself.
func escape(s string, from int) string {
	b := make([]byte, from, len(s)+16)
	copy(b, s)
	for i, r := range s[from:] {
		i += from
		if r < utf8.RuneSelf && plain(byte(r)) && (r != ' ' || 0 < i && i < len(s)-1) {
			b = append(b, byte(r))
			continue
		}
		var octets [utf8.UTFMax]byte
		for _, c := range octets[:utf8.EncodeRune(octets[:], r)] {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// DecodeMessage reads the value of grpc-message. It gives UTF-8 whatever s is:
// octets that are not become U+FFFD, and what is no percent-encoding stays as
// it is. A message without "%" is given as it is.
//
// "When decoding invalid values, implementations MUST NOT error or throw away
// the message."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func DecodeMessage(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return validUTF8(s)
	}
	b := make([]byte, i, len(s))
	copy(b, s)
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return validUTF8(string(b))
}

// validUTF8 replaces each octet of s that is not UTF-8.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// ParseCode reads the value of grpc-status. A number that gRPC has no name for
// is a code too; it is not ok if s is no number from 0 to 2^31-1.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func ParseCode(s string) (code codes.Code, ok bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, false
	}
	return codes.Code(n), true
}

// EncodeDetails gives the value of grpc-status-details-bin: the whole status as
// a google.rpc.Status, or "" if it has no details.
func EncodeDetails(s *status.Status) string {
	p := s.Proto()
	if len(p.GetDetails()) == 0 {
		return ""
	}
	p.Message = validUTF8(p.GetMessage()) // or it could not be marshaled
	b, err := proto.Marshal(p)
	if err != nil {
		return "" // a type URL that is not UTF-8: better the status without its details
	}
	return EncodeBin(string(b))
}

// DecodeStatus gives the status that trailers say: the code and the decoded
// message, and the value of grpc-status-details-bin, which may be empty.
//
// Details belong to an error: they are passed over if the code is OK and they
// do not say otherwise, and if they are no google.rpc.Status. If their code is
// another than grpc-status, somebody on the way broke one of them; the status
// is INTERNAL then, and says so.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func DecodeStatus(code codes.Code, message, details string) *status.Status {
	plain := status.New(code, message)
	if details == "" {
		return plain
	}
	b, err := DecodeBin(details)
	if err != nil {
		return plain
	}
	p := status.New(codes.OK, "").Proto() // whose type is of a module that weir does not require
	if proto.Unmarshal([]byte(b), p) != nil {
		return plain
	}
	switch said := codes.Code(p.GetCode()); said {
	case code:
	case codes.OK: // is how a code looks that is not set
		p.Code = int32(code)
	default:
		return status.Newf(codes.Internal, "the peer contradicts itself: grpc-status is %d, grpc-status-details-bin says %d; grpc-message is %q", code, said, message)
	}
	if code == codes.OK {
		return plain
	}
	if p.GetMessage() == "" {
		p.Message = message
	}
	return status.FromProto(p)
}
