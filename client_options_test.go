package weir_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The :authority is that of the option, of the credentials or of the target, in
// this order; an option and credentials that differ are refused.
func TestAuthority(t *testing.T) {
	server, client := secrets(t, "svc.test", "other.test")
	named := func(name string) credentials.TransportCredentials {
		cfg := client.Clone()
		cfg.ServerName = name
		return credentials.NewTLS(cfg)
	}
	tests := []struct {
		name   string
		option string
		creds  credentials.TransportCredentials
		want   string // of the server's :authority; empty if NewClient fails
	}{
		{"option", "svc.test", named(""), "svc.test"},
		{"option with a port", "svc.test:99", named(""), "svc.test:99"},
		{"credentials", "", named("svc.test"), "svc.test"},
		{"both agree", "svc.test", named("svc.test"), "svc.test"},
		{"they differ", "svc.test", named("other.test"), ""},
		{"a port is a difference", "svc.test:99", named("svc.test"), ""},
	}
	for _, p := range pairings {
		dial := guarded(t, p, new(doorman), credentials.NewTLS(server))
		for _, tt := range tests {
			if tt.want == "" {
				continue
			}
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				seen, errs := shown(t.Context(), dial(t, tt.creds, tt.option))
				for i, md := range seen {
					if got := md.Get("x-authority"); errs[i] != nil || len(got) != 1 || got[0] != tt.want {
						t.Errorf("the server sees the authority %q, %v; want %q", got, errs[i], tt.want)
					}
				}
			})
		}
	}
	for _, tt := range tests {
		if tt.want != "" {
			continue
		}
		_, err := weir.NewClient("svc.test", weir.WithTransportCredentials(tt.creds), weir.WithAuthority(tt.option))
		if err == nil || !strings.Contains(err.Error(), "WithAuthority") {
			t.Errorf("%s: NewClient gives the error %v", tt.name, err)
		}
		if _, err := grpc.NewClient("svc.test", grpc.WithTransportCredentials(tt.creds), grpc.WithAuthority(tt.option)); err == nil {
			t.Errorf("%s: grpc-go takes it", tt.name)
		}
	}
}

// What no header field can carry is refused before any call.
func TestFieldOptions_EndOfALine_IsRefused(t *testing.T) {
	for name, option := range map[string]weir.DialOption{
		"WithAuthority": weir.WithAuthority("svc.test\n"),
		"WithUserAgent": weir.WithUserAgent("agent/1.0\r\n"),
	} {
		c, err := weir.NewClient("svc.test", weir.WithTransportCredentials(insecure.NewCredentials()), option)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: NewClient gives the error %v", name, err)
		}
	}
}

// The name of WithAuthority is the one that the certificate is checked for.
func TestAuthorityIsVerified(t *testing.T) {
	server, client := secrets(t, "svc.test")
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			d := new(doorman)
			_, errs := shown(t.Context(), guarded(t, p, d, credentials.NewTLS(server))(t, credentials.NewTLS(client), "evil.test"))
			if status.Code(errs[0]) != codes.Unavailable || !strings.Contains(errs[0].Error(), "evil.test") || d.calls.Load() != 0 {
				t.Errorf("got %v, and %d calls reached the server", errs, d.calls.Load())
			}
		})
	}
}

// A call may name another authority if the server's certificate has that name
// too, or if there is no security anyway; and its credentials are asked for
// that name.
func TestCallAuthority(t *testing.T) {
	server, client := secrets(t, "svc.test", "other.test")
	tests := []struct {
		name           string
		server, client credentials.TransportCredentials
		authority      string
		want           codes.Code
	}{
		{"in the certificate", credentials.NewTLS(server), credentials.NewTLS(client), "other.test", codes.OK},
		{"not in the certificate", credentials.NewTLS(server), credentials.NewTLS(client), "evil.test", codes.Unavailable},
		{"without security", insecure.NewCredentials(), insecure.NewCredentials(), "evil.test", codes.OK},
		{"credentials that cannot tell", insecure.NewCredentials(), levelled{insecure.NewCredentials(), levelInfo{}}, "svc.test", codes.Unavailable},
	}
	for _, p := range pairings {
		for _, tt := range tests {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				d := new(doorman)
				c := guarded(t, p, d, tt.server)(t, tt.client, "svc.test")
				seen, errs := shown(t.Context(), c, grpc.CallAuthority(tt.authority))
				for i, md := range seen {
					if status.Code(errs[i]) != tt.want {
						t.Errorf("got %v, want %v", errs[i], tt.want)
					}
					if got := md.Get("x-authority"); errs[i] == nil && (len(got) != 1 || got[0] != tt.authority) {
						t.Errorf("the server sees %q", got)
					}
				}
				if tt.want != codes.OK && d.calls.Load() != 0 {
					t.Errorf("%d calls reached the server", d.calls.Load())
				}
				if _, errs := shown(t.Context(), c); errs[0] != nil || errs[1] != nil {
					t.Errorf("later calls fail: %v", errs)
				}
			})
		}
	}
}

// Credentials are asked for the service under the name that the call is for.
func TestCallAuthorityIsAudience(t *testing.T) {
	server, client := secrets(t, "svc.test", "other.test")
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			var tr trace
			c := guarded(t, p, new(doorman), credentials.NewTLS(server))(t, credentials.NewTLS(client), "svc.test", tokens{&tr, "t"})
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-mine", "1")
			if _, errs := shown(ctx, c, grpc.CallAuthority("other.test:443")); errs[0] != nil || errs[1] != nil {
				t.Fatal(errs)
			}
			tr.want(t, `t /grpc.testing.TestService/EmptyCall credentials.TLSInfo ["https://other.test/grpc.testing.TestService"]`,
				`t /grpc.testing.TestService/FullDuplexCall credentials.TLSInfo ["https://other.test/grpc.testing.TestService"]`)
		})
	}
}

// Row A86: WithKeepaliveParams ends a call whose server has died without a word,
// with grpc-go's defaults and least Time; without it the call waits on.
func TestKeepaliveParamsOfClient(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name string
		opts []weir.DialOption
		want time.Duration
		says string
	}{
		{"none", []weir.DialOption{weir.WithAnswerTimeout(0)}, time.Hour, "deadline"},
		{"zero value", []weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{})}, 30 * s, "10s (Time)"},
		{"short", []weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{Time: s, Timeout: 3 * s})}, 13 * s, "3s (Timeout)"},
		{"negative", []weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{Time: -1, Timeout: -1})}, 30 * s, "20s (Timeout)"},
		{"long", []weir.DialOption{weir.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * s, Timeout: 7 * s})}, 67 * s, "WithKeepaliveParams"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newStubborn()
				sv := simulate(t, h)
				sv.net.Link.RTT = 2 * time.Millisecond
				opts := append([]weir.DialOption{weir.WithContextDialer(sv.net.Dial)}, tt.opts...)
				c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///svc:80", opts...))
				go func() {
					<-h.began
					simnet.Advance(10 * time.Millisecond) // both sides know the other's SETTINGS
					sv.net.Stall()
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{})
				if d := time.Since(start).Round(100 * time.Millisecond); d != tt.want || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("the call ended after %v with %v, want %v and %q", d, err, tt.want, tt.says)
				}
				close(h.release)
				sv.Stop()
				<-sv.served
			})
		})
	}
}
