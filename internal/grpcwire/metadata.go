package grpcwire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
)

// IsBin reports whether the values of a key are octets, not ASCII.
func IsBin(key string) bool { return strings.HasSuffix(key, "-bin") }

// EncodeBin gives octets as the value of a -bin key: base64 without padding.
func EncodeBin(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }

// EncodedBinLen gives the length of what EncodeBin makes of n octets.
func EncodedBinLen(n int) int { return base64.RawStdEncoding.EncodedLen(n) }

// DecodeBin reads one value of a -bin key, padded or not.
//
// "Implementations MUST accept padded and un-padded values and should emit
// un-padded values."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func DecodeBin(v string) (string, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
	if err != nil {
		return "", errBin
	}
	return string(b), nil
}

var errBin = errors.New("the value of a -bin key is not base64")

// AppendBin reads a field with a -bin key, which may hold several values:
//
// "Implementations must split Binary-Headers on "," before decoding the
// Base64-encoded values."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
//
// It appends those values to dst that are base64, in order, and fails if there
// are others.
func AppendBin(dst []string, field string) ([]string, error) {
	var fault error
	for v := range strings.SplitSeq(field, ",") {
		b, err := DecodeBin(strings.Trim(v, " \t"))
		if err != nil {
			fault = err
			continue
		}
		dst = append(dst, b)
	}
	return dst, fault
}

// Reserved reports whether metadata of that key stays out of header lists, in
// both directions: gRPC or HTTP/2 say something of their own with it, and
// applications may not. Two keys that gRPC has itself are deliberately not
// reserved, because applications speak to it through them:
// grpc-previous-rpc-attempts and grpc-retry-pushback-ms. Keys with "grpc-" that
// gRPC does not know pass too: traces and tags travel so.
func Reserved(key string) bool {
	switch key {
	case "content-type", "user-agent", "te", "connection", "proxy-connection", "keep-alive",
		"transfer-encoding", "upgrade", "host", "content-length",
		"grpc-accept-encoding", "grpc-encoding", "grpc-message", "grpc-message-type",
		"grpc-status", "grpc-status-details-bin", "grpc-timeout":
		return true
	}
	return strings.HasPrefix(key, ":")
}

// ValidateMetadata says what keeps md from being sent, or nil. Pseudo-headers
// do not, though they are no metadata: they are Reserved, and a proxy that
// passes on what it received may well have them.
//
// "Header-Name → 1*( %x30-39 / %x61-7A / "_" / "-" / ".") ; 0-9 a-z _ - ."
// "ASCII-Value → 1*( %x20-%x7E ) ; space and printable ASCII"
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
//
// A value without octets is let through besides: every peer takes it.
func ValidateMetadata(md metadata.MD) error {
	for k, values := range md {
		if strings.HasPrefix(k, ":") {
			continue
		}
		if err := validateKey(k); err != nil {
			return err
		}
		if IsBin(k) {
			continue
		}
		for _, v := range values {
			if err := validateValue(k, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func validateKey(k string) error {
	if k == "" {
		return errors.New("metadata with an empty key")
	}
	for i := range len(k) {
		switch c := k[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case 'A' <= c && c <= 'Z':
			return fmt.Errorf("metadata key %q: keys are in lower case, as metadata.Pairs and metadata.New write them", k)
		default:
			return fmt.Errorf("metadata key %q: octet 0x%02x is none of 0-9 a-z . - _", k, c)
		}
	}
	return nil
}

func validateValue(k, v string) error {
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return fmt.Errorf("metadata key %q: octet %d of its value is 0x%02x; values are printable ASCII (0x20 to 0x7e) unless the key ends in -bin", k, i, v[i])
		}
	}
	return nil
}
