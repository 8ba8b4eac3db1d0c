package channel

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		target string
		want   Target
	}{
		{"localhost:50051", Target{Network: "tcp", Address: "localhost:50051", Lookup: true, Authority: "localhost:50051"}},
		{"localhost", Target{Network: "tcp", Address: "localhost:443", Lookup: true, Authority: "localhost"}},
		{":50051", Target{Network: "tcp", Address: "localhost:50051", Lookup: true, Authority: "localhost:50051"}},
		{"127.0.0.1:80", Target{Network: "tcp", Address: "127.0.0.1:80", Authority: "127.0.0.1:80"}},
		{"127.0.0.1", Target{Network: "tcp", Address: "127.0.0.1:443", Authority: "127.0.0.1"}},
		{"::1", Target{Network: "tcp", Address: "[::1]:443", Authority: "[::1]"}},
		{"[::1]", Target{Network: "tcp", Address: "[::1]:443", Authority: "[::1]"}},
		{"[::1]:80", Target{Network: "tcp", Address: "[::1]:80", Authority: "[::1]:80"}},
		{"dns:host:80", Target{Network: "tcp", Address: "host:80", Lookup: true, Authority: "host:80"}},
		{"DNS:///host:https", Target{Network: "tcp", Address: "host:https", Lookup: true, Authority: "host:https"}},
		{"dns:///[fe80::1%25]:80", Target{Network: "tcp", Address: "[fe80::1%25]:80", Authority: "[fe80::1%2525]:80"}},
		{"dns://8.8.8.8/host", Target{Network: "tcp", Address: "host:443", Lookup: true, NameServer: "8.8.8.8:53", Authority: "host"}},
		{"dns://ns.example:5353/host:1", Target{Network: "tcp", Address: "host:1", Lookup: true, NameServer: "ns.example:5353", Authority: "host:1"}},
		{"passthrough:///bufnet", Target{Network: "tcp", Address: "bufnet", Authority: "bufnet"}},
		{"passthrough:host:80", Target{Network: "tcp", Address: "host:80", Authority: "host:80"}},
		{"passthrough:///:80", Target{Network: "tcp", Address: ":80", Authority: "localhost:80"}},
		{"passthrough://whoever/a/b c", Target{Network: "tcp", Address: "a/b c", Authority: "a%2Fb%20c"}},
		{"passthrough:///unix:///tmp/s", Target{Network: "unix", Address: "/tmp/s", Authority: "unix:%2F%2F%2Ftmp%2Fs"}},
		{"unix:run/s", Target{Network: "unix", Address: "run/s", Authority: "localhost"}},
		{"unix:/run/s", Target{Network: "unix", Address: "/run/s", Authority: "localhost"}},
		{"unix:///run/s", Target{Network: "unix", Address: "/run/s", Authority: "localhost"}},
		{"unix-abstract:name", Target{Network: "unix", Address: "@name", Authority: "localhost"}},
		{"unix-abstract:///name", Target{Network: "unix", Address: "@name", Authority: "localhost"}},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			tt.want.Text = tt.target
			got, err := ParseTarget(tt.target)
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseTargetRefuses(t *testing.T) {
	tests := []struct{ target, word string }{
		{"", "missing"},
		{"dns:", "missing"},
		{"dns:///", "missing"},
		{"dns://host:80", "three slashes"},
		{"dns:///host:", "port is missing"},
		{"dns:///host:65536", "no port 65536"},
		{"dns:///host:-1", "no port -1"},
		{"dns:///a:b:c", "too many colons"},
		{"dns://a:b:c/host", "name server"},
		{"passthrough:", "missing"},
		{"passthrough:///", "missing"},
		{"passthrough:///unix:", "missing"},
		{"unix:", "missing"},
		{"unix://", "authority"},
		{"unix://host/s", "authority"},
		{"unix-abstract:", "missing"},
		{"unix-abstract://host/s", "authority"},
		{"xds:///svc", `scheme "xds" is not known`},
		{"http://host:80", `scheme "http" is not known`},
		{"/run/socket", "is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			got, err := ParseTarget(tt.target)
			if err == nil {
				t.Fatalf("gives %+v", got)
			}
			wantWords(t, err, tt.word, tt.target)
		})
	}
}

// As in grpc-go: a dialer of the user learns that it is a unix socket.
func TestAddressForDialer(t *testing.T) {
	for target, want := range map[string]string{
		"unix:run/s":                   "unix:run/s",
		"unix:///run/s":                "unix:///run/s",
		"unix-abstract:name":           "unix:@name",
		"passthrough:///unix:///run/s": "unix:///run/s",
		"passthrough:///bufnet":        "bufnet",
		"127.0.0.1:80":                 "127.0.0.1:80",
	} {
		tg, err := ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := tg.forDialer(tg.Address); got != want {
			t.Errorf("%s: the dialer gets %q, want %q", target, got, want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"dns:///host:80", "unix:a", "unix-abstract:a", "passthrough:///a", "[::1]:80", ":80", "dns://1.1.1.1/h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tg, err := ParseTarget(s)
		if found, foundErr := FindTarget(s, nil); !found.Hosted() && (found.Address != tg.Address || (err == nil) != (foundErr == nil)) {
			t.Errorf("%q is %+v, and without resolvers %+v", s, tg, found)
		}
		if err != nil {
			return
		}
		if tg.Text != s || tg.Network == "" || tg.Address == "" || tg.Authority == "" {
			t.Errorf("%q gives %+v", s, tg)
		}
		if strings.ContainsFunc(tg.Authority, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' }) {
			t.Errorf("%q gives the authority %q", s, tg.Authority)
		}
	})
}
