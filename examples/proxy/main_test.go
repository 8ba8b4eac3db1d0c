package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bidi = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// between runs f with a client whose calls go through the proxy to handler, on
// a network in a synctest bubble.
func between(t *testing.T, handler grpc.StreamHandler, f func(t *testing.T, c *weir.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		serve := func(name string, handler grpc.StreamHandler) *weir.Server {
			lis, err := network.Listen(name)
			if err != nil {
				t.Fatal(err)
			}
			s := weir.NewServer(weir.UnknownServiceHandler(handler))
			go func() { _ = s.Serve(lis) }()
			return s
		}
		dial := func(name string) *weir.Client {
			c, err := weir.NewClient("passthrough:///"+name, weir.WithContextDialer(network.Dial),
				weir.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		backend := serve("backend", handler)
		behind := dial("backend")
		proxy := serve("proxy", forward(behind))
		c := dial("proxy")
		f(t, c)
		_ = c.Close()
		proxy.Stop()
		_ = behind.Close()
		backend.Stop()
	})
}

// told is what a backend answers with: octets, metadata and status of its
// request.
func told(_ any, ss grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(ss.Context())
	if err := ss.SendHeader(metadata.MD{"x-type": md.Get("content-type"), "x-back-bin": md.Get("x-there-bin")}); err != nil {
		return err
	}
	ss.SetTrailer(metadata.Pairs("x-end", "1", "x-end", "2"))
	for {
		var m weir.Raw
		if err := ss.RecvMsg(&m); err == io.EOF {
			st, err := status.New(codes.NotFound, "ende: über 100 %").WithDetails(&testpb.EchoStatus{Code: 7})
			if err != nil {
				return err
			}
			return st.Err()
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(&m); err != nil {
			return err
		}
	}
}

// Feature: Unknown service handler / proxying
//
// Octets that are no protobuf message, metadata, trailers, the content-subtype
// and a status with details pass through as they are.
func TestProxy(t *testing.T) {
	for subtype, want := range map[string]string{"": "application/grpc", "anything": "application/grpc+anything"} {
		between(t, told, func(t *testing.T, c *weir.Client) {
			var opts []grpc.CallOption
			if subtype != "" {
				opts = []grpc.CallOption{grpc.ForceCodecV2(weir.RawCodec{}), grpc.CallContentSubtype(subtype)}
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-there-bin", "\x00\xff")
			s, err := c.NewStream(ctx, bidi, "/no.Service/Method", opts...)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range [][]byte{{0xff, 0}, {}, bytes.Repeat([]byte{0xfe}, 3<<20)} {
				m := weir.NewRaw(p)
				if err := s.SendMsg(m); err != nil {
					t.Fatal(err)
				}
				if err := s.RecvMsg(m); err != nil || !bytes.Equal(m.Bytes(), p) {
					t.Errorf("%d octets came back of %d, or other ones: %v", m.Len(), len(p), err)
				}
				m.Free()
			}
			header, _ := s.Header()
			if got := header.Get("x-type"); !slices.Equal(got, []string{want}) {
				t.Errorf("the content-type is %q, want %q", got, want)
			}
			if got := header.Get("x-back-bin"); !slices.Equal(got, []string{"\x00\xff"}) {
				t.Errorf("metadata came back as %q", got)
			}
			_ = s.CloseSend()
			st := status.Convert(s.RecvMsg(new(weir.Raw)))
			if st.Code() != codes.NotFound || st.Message() != "ende: über 100 %" || len(st.Details()) != 1 {
				t.Errorf("the status is %v with %v", st, st.Details())
			}
			if got := s.Trailer().Get("x-end"); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("the trailers are %v", s.Trailer())
			}
		})
	}
}

// size is of the messages that a producer sends without end.
const size = 64 << 10

// most is what may be on the way when nobody reads: the windows of streams and
// connections, twice, with what is written of the next message.
const most = 2 << 20

// Who does not read at one end stops who sends at the other, whichever end that
// is, and lets it go on by reading.
func TestProxy_BackPressure(t *testing.T) {
	var sent, got atomic.Int64
	produce := func(ctx context.Context, to stream) {
		for ctx.Err() == nil {
			if to.SendMsg(weir.NewRaw(make([]byte, size))) != nil {
				return
			}
			sent.Add(1)
		}
	}
	consume := func(from stream) error {
		var m weir.Raw
		defer m.Free()
		err := from.RecvMsg(&m)
		if err == nil {
			got.Add(1)
		}
		return err
	}
	stands := func(t *testing.T, what string) {
		t.Helper()
		synctest.Wait() // everybody waits for somebody
		before := sent.Load()
		simnet.Advance(time.Minute)
		if n := sent.Load(); n != before || (n-got.Load())*size > most || n == 0 {
			t.Errorf("%s: %d messages sent, %d a minute before, %d read", what, n, before, got.Load())
		}
	}
	t.Run("the client does not read", func(t *testing.T) {
		sent.Store(0)
		got.Store(0)
		between(t, func(_ any, ss grpc.ServerStream) error {
			produce(ss.Context(), ss)
			return nil
		}, func(t *testing.T, c *weir.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := c.NewStream(ctx, bidi, "/a/b")
			if err != nil {
				t.Fatal(err)
			}
			stands(t, "before")
			for range 500 {
				if err := consume(s); err != nil {
					t.Fatal(err)
				}
			}
			stands(t, "after")
			if n := sent.Load(); n < 500 {
				t.Errorf("%d messages sent, though 500 were read", n)
			}
		})
	})
	t.Run("the server does not read", func(t *testing.T) {
		sent.Store(0)
		got.Store(0)
		var read chan struct{} // made in the bubble
		between(t, func(_ any, ss grpc.ServerStream) error {
			for range read {
				if err := consume(ss); err != nil {
					return err
				}
			}
			return nil
		}, func(t *testing.T, c *weir.Client) {
			read = make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			s, err := c.NewStream(ctx, bidi, "/a/b")
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				produce(ctx, s)
			}()
			stands(t, "before")
			for range 500 {
				read <- struct{}{}
			}
			stands(t, "after")
			if n := sent.Load(); n < 500 {
				t.Errorf("%d messages sent, though 500 were read", n)
			}
			cancel()
			close(read)
			<-over
		})
	})
}

// Cancellation and deadlines of the client reach the server behind the proxy,
// and a status of the proxy's own the client.
func TestProxy_Ends(t *testing.T) {
	var ended chan error // made in the bubble
	between(t, func(_ any, ss grpc.ServerStream) error {
		<-ss.Context().Done()
		ended <- ss.Context().Err()
		return ss.Context().Err()
	}, func(t *testing.T, c *weir.Client) {
		ended = make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := c.NewStream(ctx, bidi, "/a/b"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a call that the client cancels: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err := c.Invoke(ctx, "/a/b", new(weir.Raw), new(weir.Raw))
		if status.Code(err) != codes.DeadlineExceeded || time.Since(begun) != time.Second {
			t.Errorf("a call without an answer: %v after %v", err, time.Since(begun))
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call whose deadline has passed: %v", err)
		}
		large := weir.NewRaw(make([]byte, 5<<20))
		defer large.Free()
		if err := c.Invoke(t.Context(), "/a/b", large, new(weir.Raw)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a request that is too large for the proxy: %v", err)
		}
		<-ended
	})
}
