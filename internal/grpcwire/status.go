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
// but printable ASCII percent-encoded. What is not UTF-8 becomes U+FFFD.
func EncodeMessage(s string) string {
	for i := range len(s) {
		if !plain(s[i]) {
			return escape(s, i)
		}
	}
	return s
}

func escape(s string, from int) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:from])
	for i := from; i < len(s); {
		if plain(s[i]) {
			b.WriteByte(s[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		var octets [utf8.UTFMax]byte
		for _, c := range octets[:utf8.EncodeRune(octets[:], r)] {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// DecodeMessage reads the value of grpc-message.
//
// "When decoding invalid values, implementations MUST NOT error or throw away
// the message. At worst, the implementation can abort decoding the status
// message altogether such that the user would received the raw percent-encoded
// form."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func DecodeMessage(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	b = append(b, s[:i]...)
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
	return string(b)
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

// ParseCode reads the value of grpc-status. Codes that gRPC does not know are
// fine, as long as they are numbers.
func ParseCode(s string) (codes.Code, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return codes.Code(n), err == nil
}

// EncodeDetails gives the value of grpc-status-details-bin: the whole status,
// or "" if it has no details.
func EncodeDetails(s *status.Status) string {
	if p := s.Proto(); len(p.GetDetails()) > 0 {
		if b, err := proto.Marshal(p); err == nil {
			return EncodeBin(string(b))
		}
	}
	return ""
}

// DecodeStatus gives the status that trailers say: the code and the decoded
// message, and, if it is not empty, the value of grpc-status-details-bin. If
// that says another code than grpc-status, somebody on the way broke one of
// them: the status is INTERNAL and says so. Details that cannot be read are
// dropped, the status stays.
func DecodeStatus(code codes.Code, message, details string) *status.Status {
	if details == "" {
		return status.New(code, message)
	}
	b, err := DecodeBin(details)
	if err != nil {
		return status.New(code, message)
	}
	p := status.New(codes.OK, "").Proto() // its type belongs to a module that weir does not require
	if proto.Unmarshal([]byte(b), p) != nil {
		return status.New(code, message)
	}
	if codes.Code(p.GetCode()) != code {
		return status.Newf(codes.Internal, "the peer sent grpc-status %d and, in grpc-status-details-bin, %d (%s)", code, p.GetCode(), message)
	}
	return status.FromProto(p)
}
