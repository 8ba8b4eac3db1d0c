package grpcwire

import "strings"

const baseContentType = "application/grpc"

// ContentType gives the content-type for a content-subtype, which may be empty.
func ContentType(subtype string) string {
	if subtype == "" {
		return baseContentType
	}
	return baseContentType + "+" + subtype
}

// ParseContentType gives the content-subtype of a content-type, in lower case,
// and whether it is gRPC's at all: "application/grpc", alone or followed by "+"
// or ";" and more, in any case. What follows ";" are parameters.
func ParseContentType(s string) (subtype string, ok bool) {
	if len(s) < len(baseContentType) || !strings.EqualFold(s[:len(baseContentType)], baseContentType) {
		return "", false
	}
	switch rest := s[len(baseContentType):]; {
	case rest == "":
		return "", true
	case rest[0] == ';':
		return strings.ToLower(strings.TrimSpace(rest[1:])), true
	case rest[0] == '+':
		return strings.ToLower(rest[1:]), true
	}
	return "", false
}
