package process

import (
	"strings"
	"testing"
)

func TestMainRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, errOut string }{
		{"nothing", "", "expected a setup; came EOF"},
		{"no JSON", "hello", "expected a setup"},
		{"no role", "{}", "expected the role"},
		{"an unknown peer", `{"role": "server", "peer": "h3"}`, `came ["h3"]`},
		{"no server to call", `{"role": "client", "peer": "grpc-go", "target": "127.0.0.1:1", "scenario": {"connections": 1}}`, "expected a reply"},
		{"no connections", `{"role": "client", "peer": "grpc-go"}`, "expected a scenario with connections"},
		{"a broken identity", `{"role": "server", "peer": "grpc-go", "identity": {}}`, "asn1"},
		{"a broken request", `{"role": "server", "peer": "grpc-go"} x`, "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut strings.Builder
			if status := Main(strings.NewReader(tt.in), &out, &errOut); status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			if !strings.Contains(errOut.String(), tt.errOut) {
				t.Errorf("stderr %q, want %q in it", &errOut, tt.errOut)
			}
		})
	}
}

func TestMainEndsWithItsInput(t *testing.T) {
	var out, errOut strings.Builder
	if status := Main(strings.NewReader(`{"role": "server", "peer": "grpc-go"}`), &out, &errOut); status != 0 {
		t.Errorf("exit status %d and stderr %q, want 0", status, &errOut)
	}
	if !strings.Contains(out.String(), `{"address":"127.0.0.1:`) {
		t.Errorf("stdout %q, want an address", &out)
	}
}
