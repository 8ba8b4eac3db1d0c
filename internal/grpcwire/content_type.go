package grpcwire

import "strings"

const baseContentType = "application/grpc"

// ContentType gives the content-type for a content-subtype, which may be empty
// and is in lower case.
func ContentType(subtype string) string {
	if subtype == "" {
		return baseContentType
	}
	return baseContentType + "+" + subtype
}

// ParseContentType gives the content-subtype of a content-type, in lower case,
// and whether it is gRPC's at all: "application/grpc" in any case, alone or
// with a subtype behind "+" or ";". Parameters, which have a "=", are no
// subtype and are passed over.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func ParseContentType(s string) (subtype string, ok bool) {
	if len(s) < len(baseContentType) || !strings.EqualFold(s[:len(baseContentType)], baseContentType) {
		return "", false
	}
	rest := s[len(baseContentType):]
	if rest == "" {
		return "", true
	}
	if rest[0] != '+' && rest[0] != ';' {
		return "", false
	}
	subtype, _, _ = strings.Cut(rest[1:], ";")
	subtype = strings.Trim(subtype, " \t")
	if rest[0] == ';' && strings.Contains(subtype, "=") {
		return "", true
	}
	return strings.ToLower(subtype), true
}
