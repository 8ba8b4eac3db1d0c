package certs_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/certs"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// numbers is a service that tells the number of the client's certificate.
var numbers = grpc.ServiceDesc{ServiceName: "test.Numbers", Methods: []grpc.MethodDesc{{
	MethodName: "Client",
	Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(wrapperspb.Int64Value)); err != nil {
			return nil, err
		}
		p, _ := peer.FromContext(ctx)
		return wrapperspb.Int64(number(p.AuthInfo)), nil
	},
}}}

func number(info credentials.AuthInfo) int64 {
	return info.(credentials.TLSInfo).State.PeerCertificates[0].SerialNumber.Int64()
}

// call makes a call and gives the numbers of the certificates that server and
// client show.
func call(ctx context.Context, c *weir.Client) (server, client int64, err error) {
	var p peer.Peer
	out := new(wrapperspb.Int64Value)
	if err := c.Invoke(ctx, "/test.Numbers/Client", wrapperspb.Int64(0), out, grpc.Peer(&p)); err != nil {
		return 0, 0, err
	}
	return number(p.AuthInfo), out.GetValue(), nil
}

func dial(tb testing.TB, address string, creds credentials.TransportCredentials) *weir.Client {
	tb.Helper()
	c, err := weir.NewClient("passthrough:///"+address, weir.WithTransportCredentials(creds), weir.WithAuthority("svc.test"))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Feature: Certificates that are renewed without a restart
//
// Certificates and authorities of both sides are replaced while clients connect
// and call, file by file. No call fails, new connections show what is new, and
// those from before show what they did and go on.
func TestRenewalUnderLoad(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	server, client := newSide(t), newSide(t)
	for i, s := range []*side{server, client} {
		s.put(s.CAFile, before.pem)
		s.renew(before, int64(1+i), func() {})
	}
	ofServer, err := certs.NewServer(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	ofClient, err := certs.NewClient(client.Config)
	if err != nil {
		t.Fatal(err)
	}
	srv := weir.NewServer(weir.Creds(ofServer))
	srv.RegisterService(&numbers, nil)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	address := lis.Addr().String()

	old := dial(t, address, ofClient)
	defer old.Close()
	want := func(c *weir.Client, wantServer, wantClient int64) {
		t.Helper()
		s, cl, err := call(t.Context(), c)
		if err != nil || s != wantServer || cl != wantClient {
			t.Errorf("the server shows certificate %d and the client %d, want %d and %d; %v", s, cl, wantServer, wantClient, err)
		}
	}
	want(old, 1, 2)

	var calls atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := dial(t, address, ofClient)
				_, _, err := call(t.Context(), c)
				_ = c.Close()
				if err == nil {
					_, _, err = call(t.Context(), old)
				}
				if err != nil {
					t.Error(err)
					return
				}
				calls.Add(2)
			}
		})
	}
	enough := func() { // for each step to be seen by connections that are made during it
		for n := calls.Load() + 16; calls.Load() < n && !t.Failed(); {
			runtime.Gosched()
		}
	}
	replace := func(s *side, data ...[]byte) { // at once, as those do who mind
		s.put(s.CAFile+".new", data...)
		if err := os.Rename(s.CAFile+".new", s.CAFile); err != nil {
			t.Fatal(err)
		}
	}
	replace(server, before.pem, after.pem)
	enough()
	replace(client, before.pem, after.pem)
	enough()
	server.renew(after, 11, enough)
	enough()
	client.renew(after, 12, enough)
	enough()
	replace(client, after.pem)
	enough()
	replace(server, after.pem)
	enough()
	close(stop)
	load.Wait()

	fresh := dial(t, address, ofClient)
	defer fresh.Close()
	want(fresh, 11, 12)
	want(old, 1, 2)

	// A client from before, whose authority is gone, has no business here.
	replace(client, before.pem)
	gone := dial(t, address, ofClient)
	defer gone.Close()
	if _, _, err := call(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a server of an authority that is not in CAFile any more is called: %v", err)
	}
}

// handshake makes one connection and gives the number that the server shows.
func handshake(t *testing.T, client, server credentials.TransportCredentials) (int64, error) {
	t.Helper()
	a, b := simnet.Pipe(simnet.Link{})
	defer a.Close()
	defer b.Close()
	served := make(chan error, 1)
	go func() {
		nc, _, err := server.ServerHandshake(b)
		if err == nil {
			defer nc.Close()
		}
		served <- err
	}()
	// As clients do it: an override is the name of all connections.
	name := cmp.Or(client.Info().ServerName, "svc.test") //nolint:staticcheck // still how an override is told
	nc, info, err := client.ClientHandshake(t.Context(), name, a)
	if err != nil {
		_ = a.Close()
		return 0, errors.Join(err, <-served)
	}
	defer nc.Close()
	return number(info), <-served
}

// The files are looked at once a second, and what is wrong with them is told and
// does no harm.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		server, client := newSide(t), newSide(t)
		var told []error
		server.Every, client.CertFile, client.KeyFile = 0, "", ""
		server.Changed = func(err error) { told = append(told, err) }
		server.put(server.CAFile, ca.pem)
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven}
		client.put(client.CAFile, ca.pem)
		server.renew(ca, 1, func() {})
		ofServer, err := certs.NewServer(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		ofClient, err := certs.NewClient(client.Config)
		if err != nil {
			t.Fatal(err)
		}
		want := func(n int64, words ...string) {
			t.Helper()
			if got, err := handshake(t, ofClient, ofServer); err != nil || got != n {
				t.Errorf("the server shows certificate %d, want %d; %v", got, n, err)
			}
			if len(told) != len(words) {
				t.Fatalf("Changed was told %v, want %q", told, words)
			}
			for i, word := range words {
				if !strings.Contains(fmt.Sprint(told[i]), word) {
					t.Errorf("Changed was told %v, want %q", told[i], word)
				}
			}
			told = nil
		}
		want(1)
		server.renew(ca, 2, func() {})
		want(1) // not yet
		simnet.Advance(999 * time.Millisecond)
		want(1)
		simnet.Advance(time.Millisecond)
		want(2, "<nil>")
		simnet.Advance(time.Second)
		want(2) // nothing has changed

		server.renew(ca, 3, func() {
			simnet.Advance(time.Second)
			want(2, server.KeyFile)
			want(2)
			simnet.Advance(time.Second)
			want(2, "private key does not match")
		})
		simnet.Advance(time.Second)
		want(3, "<nil>")
		for _, name := range []string{server.CertFile, server.KeyFile, server.CAFile} {
			was, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			server.put(name, []byte("no PEM"))
			simnet.Advance(time.Second)
			want(3, name)
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			simnet.Advance(time.Second)
			want(3, name)
			server.put(name, was)
			simnet.Advance(time.Second)
			want(3)
		}
	})
}

// A file that is being written is not used before it is whole: neither some of the
// authorities, nor a chain without its end.
func TestLooks_HalfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
		server, client := newSide(t), newSide(t)
		server.CAFile, client.CertFile, client.KeyFile = "", "", ""
		var ours, theirs []error
		server.Changed = func(err error) { ours = append(ours, err) }
		client.Changed = func(err error) { theirs = append(theirs, err) }
		server.renew(ca, 1, func() {})
		client.put(client.CAFile, other.pem, ca.pem)
		ofServer, err := certs.NewServer(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		ofClient, err := certs.NewClient(client.Config)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := os.ReadFile(server.CertFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 5, 11, 27, 28, 100, len(ca.pem) - 20, len(ca.pem) - 2} {
			ours, theirs = nil, nil
			server.put(server.CertFile, leaf, ca.pem[:n])
			client.put(client.CAFile, other.pem, ca.pem[:n])
			if _, err := handshake(t, ofClient, ofServer); err != nil {
				t.Errorf("%d octets of %d: %v", n, len(ca.pem), err)
			}
			for name, told := range map[string][]error{server.CertFile: ours, client.CAFile: theirs} {
				if len(told) != 1 || !strings.Contains(fmt.Sprint(told[0]), name+" breaks off") {
					t.Errorf("%d octets of %d: Changed was told %v of %s", n, len(ca.pem), told, name)
				}
			}
		}
		ours, theirs = nil, nil
		server.put(server.CertFile, []byte("the chain of svc.test\n"), leaf, ca.pem, []byte("-- the end\n"))
		client.put(client.CAFile, other.pem, []byte("\n- the next -\n"), ca.pem)
		if _, err := handshake(t, ofClient, ofServer); err != nil || len(ours) != 1 || ours[0] != nil || len(theirs) != 1 || theirs[0] != nil {
			t.Errorf("with texts around it: %v, %v, %v", err, ours, theirs)
		}
	})
}

// Credentials that cannot work are refused, with the option or the file.
func TestRefuses(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := newSide(t)
	s.put(s.CAFile, ca.pem)
	s.renew(ca, 1, func() {})
	other := newSide(t)
	other.put(other.CertFile, []byte("no PEM"))
	for name, tt := range map[string]struct {
		make func(certs.Config) (credentials.TransportCredentials, error)
		cfg  certs.Config
		word string
	}{
		"client of nothing": {certs.NewClient, certs.Config{}, "CAFile"},
		"server of nothing": {certs.NewServer, certs.Config{CAFile: s.CAFile}, "CertFile"},
		"no key":            {certs.NewServer, certs.Config{CertFile: s.CertFile}, "KeyFile"},
		"no certificate":    {certs.NewClient, certs.Config{KeyFile: s.KeyFile, CAFile: s.CAFile}, "CertFile"},
		"no file":           {certs.NewClient, certs.Config{CAFile: s.CAFile + "no"}, s.CAFile + "no"},
		"not a certificate": {certs.NewServer, certs.Config{CertFile: other.CertFile, KeyFile: s.KeyFile}, other.CertFile},
		"not an authority":  {certs.NewClient, certs.Config{CAFile: other.CertFile}, other.CertFile},
		"the key of no one": {certs.NewServer, certs.Config{CertFile: s.CertFile, KeyFile: s.CAFile}, s.CAFile},
	} {
		if creds, err := tt.make(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: %v, %v, want an error with %q", name, creds, err, tt.word)
		}
	}
}

// A server with an authority demands a certificate of clients, and a client
// checks the name; it can be overridden, and of a Clone alone.
func TestWhoIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
		server, client, foreign := newSide(t), newSide(t), newSide(t)
		server.put(server.CAFile, ca.pem)
		client.put(client.CAFile, ca.pem)
		foreign.put(foreign.CAFile, ca.pem)
		server.renew(ca, 1, func() {})
		client.renew(ca, 2, func() {})
		foreign.renew(stranger, 3, func() {})
		server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} // its clients hear of a refusal during the handshake
		ofServer, err := certs.NewServer(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		try := func(cfg certs.Config, name string) error {
			c, err := certs.NewClient(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if name != "" {
				clone := c.Clone()
				if err := clone.OverrideServerName(name); err != nil { //nolint:staticcheck // what grpc.WithAuthority calls
					t.Fatal(err)
				}
				if got := clone.Info().ServerName; got != name { //nolint:staticcheck // as above
					t.Errorf("the name is %q", got)
				}
				if _, err := handshake(t, c, ofServer); err != nil {
					t.Errorf("a Clone changes the original: %v", err)
				}
				c = clone
			}
			if p := c.Info().SecurityProtocol; p != "tls" {
				t.Errorf("the protocol is %q", p)
			}
			_, err = handshake(t, c, ofServer)
			return err
		}
		if err := try(client.Config, ""); err != nil {
			t.Error(err)
		}
		if err := try(client.Config, "svc.test"); err != nil {
			t.Error(err)
		}
		if err := try(client.Config, "other.test"); err == nil {
			t.Error("a server of another name is trusted")
		}
		if err := try(foreign.Config, ""); err == nil {
			t.Error("a client of another authority is trusted")
		}
		if err := try(certs.Config{CAFile: client.CAFile}, ""); err == nil {
			t.Error("a client without a certificate is trusted")
		}
		named := client.Config
		named.TLS = &tls.Config{ServerName: "other.test", MinVersion: tls.VersionTLS12}
		if err := try(named, ""); err == nil {
			t.Error("TLS.ServerName is not checked")
		}
	})
}
