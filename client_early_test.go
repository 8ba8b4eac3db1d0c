package weir_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// tcpLike is a listener that accepts when TCP would: when the third part of the
// handshake has come. simnet hands a connection over with the first, a round trip
// earlier.
type tcpLike struct {
	net.Listener
	rtt time.Duration
}

func (l tcpLike) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		<-time.After(l.rtt)
	}
	return nc, err
}

// The first answer on a fresh connection comes one round trip sooner, but where
// TLS 1.2 has the server speak last, and its SETTINGS come with that.
func TestEarlyCalls_RoundTripsToTheFirstAnswer(t *testing.T) {
	const rtt = 40 * time.Millisecond
	tests := []struct {
		name                      string
		secured                   uint16
		waiting, early, connected int // in round trips; connected is the state READY of a Client with early calls
	}{
		// TCP's handshake, SETTINGS, the call.
		{"plain text", 0, 3, 2, 1},
		// TCP's handshake, that of TLS, SETTINGS, the call.
		{"TLS 1.3", tls.VersionTLS13, 4, 3, 2},
		// TCP's handshake, two for TLS, the call.
		{"TLS 1.2", tls.VersionTLS12, 4, 4, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.Network{Link: simnet.Link{RTT: rtt}}
				inner, err := network.Listen("svc:80")
				if err != nil {
					t.Fatal(err)
				}
				server, client := insecure.NewCredentials(), insecure.NewCredentials()
				if tt.secured != 0 {
					i := newIssuer(t, "authority")
					version := func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tt.secured, tt.secured }
					server = withTLS(version, presenting(i.issue(t, "svc")))
					client = withTLS(version, trusting(i))
				}
				srv := weir.NewServer(weir.Creds(server))
				testpb.RegisterTestServiceServer(srv, echo{})
				background(t, srv, tcpLike{inner, rtt})
				for _, early := range []bool{false, true} {
					opts := []weir.DialOption{weir.WithContextDialer(network.Dial), weir.WithTransportCredentials(client)}
					want := tt.waiting
					if early {
						opts = append(opts, weir.WithEarlyCalls())
						want = tt.early
					}
					c := newWeirClient(t, "passthrough:///svc:80", opts...)
					start := time.Now()
					if early {
						c.Connect()
						until(t, c, connectivity.Ready)
						if d := time.Since(start); d != time.Duration(tt.connected)*rtt {
							t.Errorf("READY after %v, want %d round trips", d, tt.connected)
						}
					}
					if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
						t.Fatal(err)
					}
					if d := time.Since(start); d != time.Duration(want)*rtt {
						t.Errorf("early calls %v: the first answer after %v, want %d round trips", early, d, want)
					}
					start = time.Now()
					if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
						t.Fatal(err)
					}
					if d := time.Since(start); d != rtt {
						t.Errorf("early calls %v: the second answer after %v, want one round trip", early, d)
					}
					c.Close()
				}
			})
		})
	}
}

// A server that refuses connections, speaks something else, or says nothing: the
// error is that of a Client whose calls wait, and so are the attempts after it.
func TestEarlyCalls_NoServer(t *testing.T) {
	silent := func(nc net.Conn) {
		for b, err := make([]byte, 1024), error(nil); err == nil; {
			_, err = nc.Read(b)
		}
		nc.Close()
	}
	tests := []struct {
		name         string
		serve        func(nc net.Conn) // nil refuses
		failFast     []string          // what a call says that does not wait
		took         time.Duration
		waitForReady codes.Code // how one ends that waits, and would for a minute
		states       []connectivity.State
	}{
		{"refused", nil, []string{"cannot connect to", "refused"}, 0, codes.DeadlineExceeded,
			[]connectivity.State{connectivity.Connecting, connectivity.TransientFailure}},
		// Certainly not processed: tried again, for which there is no connection then.
		{"HTTP/1", func(nc net.Conn) {
			nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			silent(nc)
		}, []string{"no connection for", "no HTTP/2 connection with", "speaks HTTP/1", "is it a gRPC server?"}, 0, codes.DeadlineExceeded,
			[]connectivity.State{connectivity.Connecting, connectivity.Ready, connectivity.TransientFailure}},
		{"TLS", func(nc net.Conn) {
			nc.Write([]byte{0x15, 3, 1, 0, 2, 2, 22})
			nc.Close()
		}, []string{"no connection for", "speaks TLS", "WithTransportCredentials"}, 0, codes.DeadlineExceeded,
			[]connectivity.State{connectivity.Connecting, connectivity.Ready, connectivity.TransientFailure}},
		{"silent", silent, []string{"sent no SETTINGS in time", "EarlyCalls", "may have acted"}, 20 * time.Second, codes.Unavailable,
			[]connectivity.State{connectivity.Connecting, connectivity.Ready, connectivity.TransientFailure}},
	}
	for _, tt := range tests {
		for _, wait := range []bool{false, true} {
			name := tt.name
			if wait {
				name += ", wait for ready"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var network simnet.Network
					var wg sync.WaitGroup
					defer wg.Wait()
					if tt.serve != nil {
						lis, err := network.Listen("svc:80")
						if err != nil {
							t.Fatal(err)
						}
						defer lis.Close()
						wg.Go(func() {
							for {
								nc, err := lis.Accept()
								if err != nil {
									return
								}
								wg.Go(func() { tt.serve(nc) })
							}
						})
					}
					var mu sync.Mutex
					var states []connectivity.State
					c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial), weir.WithEarlyCalls(),
						weir.WithConnectParams(grpc.ConnectParams{}), weir.WithStateObserver(func(_, to connectivity.State, _ error) {
							mu.Lock()
							defer mu.Unlock()
							states = append(states, to)
						}))
					defer c.Close()
					start := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := testpb.NewTestServiceClient(c).EmptyCall(ctx, &testpb.Empty{}, grpc.WaitForReady(wait))
					d := time.Since(start)
					if wait {
						wantText(t, err, tt.waitForReady, "")
						return
					}
					wantText(t, err, codes.Unavailable, tt.failFast...)
					if d != tt.took {
						t.Errorf("it took %v, want %v", d, tt.took)
					}
					synctest.Wait()
					mu.Lock()
					if !slices.Equal(states, tt.states) {
						t.Errorf("the states are %v, want %v", states, tt.states)
					}
					mu.Unlock()
					// The next call hears at once why there is no connection.
					_, err = testpb.NewTestServiceClient(c).EmptyCall(ctx, &testpb.Empty{})
					wantText(t, err, codes.Unavailable, "no connection for passthrough:///svc:80", "WithConnectParams")
					if tt.name == "silent" {
						wantText(t, err, codes.Unavailable, "connect timeout of 20s", "MinConnectTimeout", "svc:80")
					}
				})
			})
		}
	}
}
