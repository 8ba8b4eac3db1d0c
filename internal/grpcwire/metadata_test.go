package grpcwire

import (
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
	for name, md := range map[string]metadata.MD{
		"empty key":     {"": {"x"}},
		"uppercase":     {"X-Trace": {"x"}},
		"space":         {"x trace": {"x"}},
		"not ASCII":     {"x": {"ü"}},
		"line end":      {"x": {"a\r\nb: c"}},
		"zero":          {"x": {"a\x00"}},
		"key not ASCII": {"ü": {"x"}},
	} {
		if err := ValidateMetadata(md); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Row A63: names that gRPC and HTTP/2 own are not the application's.
func TestReserved(t *testing.T) {
	for _, k := range []string{":path", "te", "content-type", "user-agent", "grpc-timeout", "grpc-status", "grpc-encoding", "connection"} {
		if !Reserved(k) {
			t.Errorf("%q is not reserved", k)
		}
	}
	for _, k := range []string{"x", "authorization", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms", "grpc-trace-bin", "grpc-tags-bin"} {
		if Reserved(k) {
			t.Errorf("%q is reserved", k)
		}
	}
}

func FuzzBin(f *testing.F) {
	f.Add("\x00\x01\xff")
	f.Add("QQ==")
	f.Fuzz(func(t *testing.T, s string) {
		for _, pad := range []string{"", "=", "=="} {
			if got, err := DecodeBin(EncodeBin(s) + pad); err != nil || got != s {
				t.Fatalf("%q comes back as %q, %v", s, got, err)
			}
		}
		_, _ = DecodeBin(s)
	})
}
