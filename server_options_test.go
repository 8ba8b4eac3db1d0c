package weir_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// certificate gives a certificate for tests, made for 127.0.0.1.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates[0]
}

// preface is what a client sends first.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// A client that does not end the handshakes of TLS and HTTP/2 within
// ConnectionTimeout is cut off then, wherever it has stopped.
func TestConnectionTimeout(t *testing.T) {
	say := func(octets string) func(net.Conn) error {
		return func(nc net.Conn) error {
			_, err := io.WriteString(nc, octets)
			return err
		}
	}
	shake := func(nc net.Conn) error {
		c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := c.Handshake(); err != nil {
			return err
		}
		_, err := io.WriteString(c, preface)
		return err
	}
	short, long := []weir.ServerOption{weir.ConnectionTimeout(8 * time.Second)}, []weir.ServerOption(nil)
	cert := certificate(t)
	for _, tt := range []struct {
		name  string
		opts  []weir.ServerOption
		tls   bool
		after time.Duration // speaks
		speak func(net.Conn) error
		want  time.Duration
	}{
		{"silence", short, false, 0, nil, 8 * time.Second},
		{"half a preface", short, false, 7 * time.Second, say(preface[:12]), 8 * time.Second},
		{"no SETTINGS", short, false, 7 * time.Second, say(preface), 8 * time.Second},
		{"no time", []weir.ServerOption{weir.ConnectionTimeout(0)}, false, 0, nil, 0},
		{"less than no time", []weir.ServerOption{weir.ConnectionTimeout(-time.Second)}, false, 0, nil, 0},
		{"TLS, silence", short, true, 0, nil, 8 * time.Second},
		{"TLS, silence, by default", long, true, 0, nil, 120 * time.Second},
		{"TLS, half a record", short, true, 7 * time.Second, say("\x16\x03\x01\x01"), 8 * time.Second},
		{"TLS, no SETTINGS", short, true, 7 * time.Second, shake, 8 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := tt.opts
				if tt.tls {
					opts = append(slices.Clip(opts), weir.Creds(credentials.NewServerTLSFromCert(&cert)))
				}
				s := simulate(t, echo{}, opts...)
				nc, start := s.dial(t), time.Now()
				defer nc.Close()
				simnet.Advance(tt.after)
				if tt.speak != nil {
					if err := tt.speak(nc); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = io.Copy(io.Discard, nc)
				// The client may read for another second why it is cut off.
				if d := time.Since(start); d < tt.want || d > tt.want+time.Second || tt.want == 0 && d > 0 {
					t.Errorf("cut off after %v, want %v", d, tt.want)
				}
				s.Stop()
				if err := <-s.served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A connection that has made its handshakes in time outlives the timeout.
func TestConnectionTimeoutEndsWithTheHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, echo{}, weir.ConnectionTimeout(time.Second))
		c := s.client(t)
		for range 3 {
			if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Error(err)
			}
			simnet.Advance(time.Hour)
		}
		s.Stop()
		<-s.served
		if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); status.Code(err).String() != "Unavailable" {
			t.Errorf("after Stop: %v", err)
		}
	})
}
