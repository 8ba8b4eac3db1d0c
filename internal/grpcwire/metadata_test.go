package grpcwire

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
)

func TestValidateMetadata(t *testing.T) {
	for name, md := range map[string]metadata.MD{
		"nothing":       nil,
		"usual":         {"x-trace_id.1": {"abc ~!"}},
		"binary":        {"x-bin": {"\x00\xff"}},
		"empty value":   {"x": {""}},
		"pseudo header": {":path": {"/evil"}},
	} {
		if err := ValidateMetadata(md); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tt := range []struct {
		name string
		md   metadata.MD
		says string
	}{
		{"empty key", metadata.MD{"": {"x"}}, "empty key"},
		{"uppercase", metadata.MD{"X-Trace": {"x"}}, `key "X-Trace": keys are in lower case`},
		{"space", metadata.MD{"x trace": {"x"}}, `key "x trace": octet 0x20 is none of 0-9 a-z . - _`},
		{"colon within", metadata.MD{"x:y": {"x"}}, "octet 0x3a"},
		{"key not ASCII", metadata.MD{"ü": {"x"}}, "octet 0xc3"},
		{"binary key", metadata.MD{"x\x00-bin": {"x"}}, "octet 0x00"},
		{"value not ASCII", metadata.MD{"x": {"ok", "aü"}}, `key "x": octet 1 of its value is 0xc3; values are printable ASCII (0x20 to 0x7e) unless the key ends in -bin`},
		{"line end", metadata.MD{"x": {"a\r\nb: c"}}, "octet 1 of its value is 0x0d"},
		{"zero", metadata.MD{"x": {"a\x00"}}, "0x00"},
		{"DEL", metadata.MD{"x": {"\x7f"}}, "0x7f"},
		{"binary by name only", metadata.MD{"x-binary": {"\xff"}}, "0xff"},
	} {
		if err := ValidateMetadata(tt.md); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

// Row A63: names that gRPC and HTTP/2 own are not the application's.
func TestReserved(t *testing.T) {
	for _, k := range []string{
		":path", ":authority", ":", "te", "content-type", "content-length", "user-agent", "host",
		"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
		"grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type",
		"grpc-status", "grpc-message", "grpc-status-details-bin",
	} {
		if !Reserved(k) {
			t.Errorf("%q is not reserved", k)
		}
	}
	for _, k := range []string{"x", "authorization", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms", "grpc-trace-bin", "grpc-tags-bin", "", "te-st", "x-host"} {
		if Reserved(k) {
			t.Errorf("%q is reserved", k)
		}
	}
}

// "Implementations MUST accept padded and un-padded values and should emit
// un-padded values."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func TestBin(t *testing.T) {
	for wire, want := range map[string]string{
		"": "", "QQ": "A", "QQ==": "A", "QUI": "AB", "QUI=": "AB", "QUJD": "ABC", "/+8": "\xff\xef", "AP8": "\x00\xff",
	} {
		got, err := DecodeBin(wire)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", wire, got, err, want)
		}
		if got := EncodeBin(want); got != strings.TrimRight(wire, "=") {
			t.Errorf("%q is written as %q, want %q", want, got, wire)
		}
	}
	for _, wire := range []string{"Q", "Q=Q", "QQ==QQ==", "_-8", "Q Q", "QQ ==", "ü"} {
		if got, err := DecodeBin(wire); err == nil {
			t.Errorf("%q is accepted as %q", wire, got)
		}
	}
}

// "Implementations must split Binary-Headers on "," before decoding the
// Base64-encoded values."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func TestAppendBin(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  []string
		fails bool
	}{
		{"QQ", []string{"A"}, false},
		{"QQ,QUI=", []string{"A", "AB"}, false},
		{"QQ==, QUI ,\tQUJD", []string{"A", "AB", "ABC"}, false},
		{"", []string{""}, false},
		{"QQ,,QQ", []string{"A", "", "A"}, false},
		{"QQ,!,QUI", []string{"A", "AB"}, true},
		{"!", nil, true},
	} {
		got, err := AppendBin([]string{"before"}, tt.field)
		if want := append([]string{"before"}, tt.want...); !slices.Equal(got, want) || (err != nil) != tt.fails {
			t.Errorf("%q: %q, %v, want %q", tt.field, got, err, want)
		}
	}
}

func FuzzBin(f *testing.F) {
	f.Add("\x00\x01\xff")
	f.Add("QQ==")
	f.Add("QQ,QUI=, AP8")
	f.Fuzz(func(t *testing.T, s string) {
		for _, pad := range []string{"", "=", "=="} {
			if got := EncodedBinLen(len(s)); got != len(EncodeBin(s)) {
				t.Errorf("EncodedBinLen(%d) = %d, and EncodeBin gives %d octets", len(s), got, len(EncodeBin(s)))
			}
			if got, err := DecodeBin(EncodeBin(s) + pad); err != nil || got != s {
				t.Fatalf("%q comes back as %q, %v", s, got, err)
			}
		}
		list, err := AppendBin(nil, s)
		if n := strings.Count(s, ",") + 1; len(list) > n || err == nil && len(list) < n {
			t.Fatalf("%q: %d values, %v", s, len(list), err)
		}
		one, err := DecodeBin(s)
		if err == nil && (len(list) != 1 || list[0] != one) {
			t.Fatalf("%q is %q, in a list %q", s, one, list)
		}
	})
}
