package weir_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/credentials"
)

// Who is silent in the handshakes does not hold GracefulStop as long as
// ConnectionTimeout, and Stop not at all.
func TestStopDuringHandshakes(t *testing.T) {
	cert := certificate(t)
	for _, creds := range []weir.ServerOption{nil, weir.Creds(credentials.NewServerTLSFromCert(&cert))} {
		for _, tt := range []struct {
			name string
			stop func(*weir.Server)
			want time.Duration
		}{
			{"GracefulStop", (*weir.Server).GracefulStop, 5 * time.Second},
			{"Stop", (*weir.Server).Stop, 0},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var opts []weir.ServerOption
					if creds != nil {
						opts = append(opts, creds)
					}
					s := simulate(t, echo{}, opts...)
					nc := s.dial(t)
					defer nc.Close()
					synctest.Wait()
					if d := during(func() { tt.stop(s.Server) }, func() {}); d != tt.want {
						t.Errorf("it took %v, want %v", d, tt.want)
					}
					<-s.served
				})
			})
		}
	}
}

// Clients that do not read their last words hold Stop for one timeout, not for
// one each.
func TestStopClosesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, echo{})
		s.net.Link = simnet.Link{Buffer: 1 << 10}
		const settings, ping = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x08\x06\x00\x00\x00\x00\x00weirping"
		for range 8 {
			nc := s.dial(t)
			defer nc.Close()
			// What answers the PINGs is more than the connection holds.
			if _, err := io.WriteString(nc, preface+settings+strings.Repeat(ping, 100)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if d := during(s.Stop, func() {}); d != time.Second {
			t.Errorf("Stop took %v, want a second", d)
		}
		<-s.served
	})
}

// A server whose listener fails again and again does not wait out the pause
// when it is stopped.
func TestStopDuringAcceptPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, served := weir.NewServer(), make(chan error, 1)
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		many := make([]error, 100)
		for i := range many {
			many[i] = passing{errors.New("too many open files")}
		}
		go func() { served <- srv.Serve(&flaky{lis, many}) }()
		simnet.Advance(10*time.Second + 100*time.Millisecond)
		start := time.Now()
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve gives %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Serve ended %v after Stop", d)
		}
	})
}
