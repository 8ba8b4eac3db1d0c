package grpcwire

import (
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
)

// IsBin reports whether the values of a key are octets, not ASCII.
func IsBin(key string) bool { return strings.HasSuffix(key, "-bin") }

// EncodeBin gives octets as the value of a -bin key: base64 without padding.
func EncodeBin(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }

// DecodeBin reads one value of a -bin key, padded or not.
//
// "Implementations MUST accept padded and un-padded values and should emit
// un-padded values."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func DecodeBin(v string) (string, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
	return string(b), err
}

// Reserved reports whether a key is not for the application to send: gRPC or
// HTTP/2 say something else with it. Keys of retries are not among them,
// although they begin with "grpc-": proxies pass them on.
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

// ValidateMetadata says what keeps md from being sent, or nil. Reserved keys do
// not: they are left out.
func ValidateMetadata(md metadata.MD) error {
	for k, values := range md {
		if strings.HasPrefix(k, ":") {
			continue // left out
		}
		if k == "" {
			return fmt.Errorf("a key is empty")
		}
		for i := range len(k) {
			if !keyOctet(k[i]) {
				return fmt.Errorf("key %q: only 0-9 a-z - _ . are allowed in a key", k)
			}
		}
		if IsBin(k) {
			continue
		}
		for _, v := range values {
			for i := range len(v) {
				if v[i] < ' ' || v[i] > '~' {
					return fmt.Errorf("key %q: its value has the octet 0x%02x; only printable ASCII is allowed, in keys that end in -bin any octet", k, v[i])
				}
			}
		}
	}
	return nil
}

func keyOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
