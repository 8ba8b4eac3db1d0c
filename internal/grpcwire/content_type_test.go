package grpcwire

import "testing"

// Row A66: application/grpc, alone or with a subtype or parameters, in any case.
func TestParseContentType(t *testing.T) {
	for s, want := range map[string]string{
		"application/grpc": "", "application/grpc+proto": "proto", "application/grpc+JSON": "json",
		"Application/GRPC": "", "application/grpc+": "", "application/grpc;": "",
		"application/grpc;json": "json", "application/grpc; JSON": "json",
		"application/grpc;charset=utf-8": "", "application/grpc; charset=utf-8": "",
		"application/grpc+proto;charset=utf-8": "proto", "application/grpc+proto ; x=y": "proto",
	} {
		if got, ok := ParseContentType(s); !ok || got != want {
			t.Errorf("%q: %q, %v, want %q", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "application/grp", "application/json", "application/grpc-web", "application/grpcx", "text/html", " application/grpc"} {
		if got, ok := ParseContentType(s); ok {
			t.Errorf("%q is accepted as %q", s, got)
		}
	}
	for _, s := range []string{"", "proto", "json"} {
		if got, ok := ParseContentType(ContentType(s)); !ok || got != s {
			t.Errorf("%q comes back as %q, %v", s, got, ok)
		}
	}
}
