package channel

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// A target is written out as grpc-go writes it.
func TestCanonicalTarget(t *testing.T) {
	town := manual.NewBuilderWithScheme("town")
	for target, want := range map[string]string{
		"localhost:80":                  "dns:///localhost:80",
		"localhost":                     "dns:///localhost",
		"127.0.0.1:80":                  "dns:///127.0.0.1:80",
		"[::1]:80":                      "dns:///[::1]:80",
		"dns:example.com:42":            "dns:///example.com:42",
		"dns:///example.com:42":         "dns:///example.com:42",
		"DNS:///example.com:42":         "dns:///example.com:42",
		"dns://8.8.8.8/example.com:42":  "dns://8.8.8.8/example.com:42",
		"passthrough:///bufnet":         "passthrough:///bufnet",
		"passthrough:bufnet":            "passthrough:///bufnet",
		"unix:///run/a.sock":            "unix:///run/a.sock",
		"unix:run/a.sock":               "unix:///run/a.sock",
		"unix-abstract:name":            "unix-abstract:///name",
		"passthrough://authority/x:1/y": "passthrough://authority/x:1/y",
		"town:hall":                     "town:///hall",
		"town://square/hall":            "town://square/hall",
		"village:80":                    "dns:///village:80",
	} {
		parsed, err := FindTarget(target, []resolver.Builder{town})
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.canonical(); got != want {
			t.Errorf("%q is %q, want %q", target, got, want)
		}
		cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(town))
		if err != nil {
			t.Fatal(err)
		}
		if got := cc.CanonicalTarget(); got != want {
			t.Errorf("%q is %q in grpc-go, want %q", target, got, want)
		}
		_ = cc.Close()
	}
}
