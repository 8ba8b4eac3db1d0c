package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

type baseKey struct{}
type ownKey struct{}

// Row A69: the context has the values of HandleStreams' own, those that the
// owner of the transport knows, and the peer and metadata of the call; the end
// of the context that HandleStreams got does not reach the handlers.
// Row A9: the peer in a handler's context is that of the transport.
func TestServerContext_Values(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := pipePeer(t)
		base, cancel := context.WithCancel(context.WithValue(t.Context(), baseKey{}, "base"))
		cfg := ServerConfig{ContextValue: func(st ServerStream, key any) any {
			if key == (ownKey{}) {
				return st.Method()
			}
			return nil
		}}
		result := async(func() error {
			sv, err := NewServerTransport(b, cfg)
			if err != nil {
				return err
			}
			return sv.HandleStreams(base, func(st ServerStream) {
				cancel()
				ctx := st.Context()
				if ctx.Err() != nil {
					t.Error("the end of the base context reached the handler")
				}
				if ctx.Value(baseKey{}) != "base" || ctx.Value(ownKey{}) != "/s/Stream" || ctx.Value("nobody knows") != nil {
					t.Errorf("values are %v and %v", ctx.Value(baseKey{}), ctx.Value(ownKey{}))
				}
				md, ok := metadata.FromIncomingContext(ctx)
				if !ok || strings.Join(md["key"], "|") != "v" {
					t.Errorf("metadata are %v", md)
				}
				md["key"][0] = "changed"
				if again, _ := metadata.FromIncomingContext(ctx); again["key"][0] != "v" {
					t.Error("FromIncomingContext gave no copy")
				}
				if pr, ok := peer.FromContext(ctx); !ok || pr != st.Peer() {
					t.Errorf("the peer is %v", pr)
				}
				if _, ok := ctx.Deadline(); ok {
					t.Error("there is a deadline")
				}
				st.WriteStatus(nil)
			})
		})
		p.Handshake()
		p.WriteRequest(1, "/s/Stream", nil, true, "key", "v")
		p.WantTrailers("the handler was content", 1, codes.OK)
		p.Close()
		<-result
	})
}

// Row A68: at the deadline the client has its status at once, and the handler
// hears of it in every way: Done, Err, Cause, Recv and Send.
func TestServerDeadline_Passes_EndsTheStream(t *testing.T) {
	for _, listen := range []bool{true, false} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			st, end := ts.open(1, "/s/Stream", "grpc-timeout", "1500m")
			ctx := st.Context()
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != 1500*time.Millisecond {
				t.Errorf("the deadline is in %v", time.Until(d))
			}
			child := context.Background()
			if listen {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(ctx)
				defer cancel()
			}
			recv := async(func() error { _, err := st.Recv(); return err })
			simnet.Advance(1499 * time.Millisecond)
			ts.peer.WantIdle("the deadline has not come")
			wantPending(t, "Recv", recv)
			simnet.Advance(time.Millisecond)
			ts.peer.WantTrailers("it has", 1, codes.DeadlineExceeded)
			ts.peer.WantReset("the client had not ended it", 1, http2.ErrCodeNo)
			if err := <-recv; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Recv gave %v", err)
			}
			if err := st.Send(octets(3)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Send gave %v", err)
			}
			<-ctx.Done()
			if ctx.Err() != context.DeadlineExceeded || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				t.Errorf("the context says %v, %v", ctx.Err(), context.Cause(ctx))
			}
			if listen && child.Err() != context.DeadlineExceeded {
				t.Errorf("a child says %v", child.Err())
			}
			st.WriteStatus(nil)
			end()
			ts.peer.WantIdle("the handler has nothing to add")
			ts.wantUnharmed(3)
		})
	}
}

// The keys of other packages are learned, each its own, and answered.
func TestServerContext_Keys_AreLearned(t *testing.T) {
	if keys.peer == nil || keys.incoming == nil || keys.cancel == nil {
		t.Fatalf("the keys are %v", keys)
	}
	if keys.peer == keys.incoming || keys.incoming == keys.cancel || keys.cancel == keys.peer {
		t.Errorf("two of the keys are one: %v", keys)
	}
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		child, cancel := context.WithCancel(st.Context())
		defer cancel()
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		<-child.Done()
		for name, ctx := range map[string]context.Context{"handler": st.Context(), "child": child} {
			wantStreamError(t, context.Cause(ctx), CodeCancel, ByPeer)
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("the context of the %s says %v", name, ctx.Err())
			}
		}
	})
}

// timeout is what a net.Conn gives at a deadline of its own.
type timeout struct{}

func (timeout) Error() string     { return "i/o timeout" }
func (timeout) Is(err error) bool { return err == context.DeadlineExceeded }

// A connection that fails at a deadline of its own cancels its calls. They
// have no deadline that could pass.
func TestServerContext_TimeoutOfTheConn_Cancels(t *testing.T) {
	c := &serverContext{st: &http2ServerStream{}}
	std := c.standard(time.Time{})
	c.cancel(&StreamError{Code: CodeCancel, Cause: timeout{}})
	if <-std.Done(); c.Err() != context.Canceled || std.Err() != context.Canceled {
		t.Errorf("the contexts end with %v and %v, want %v", c.Err(), std.Err(), context.Canceled)
	}
}

// A timeout that is longer than a time.Duration is the longest that there is, on
// a connection of whatever age.
func TestServerContext_LongestTimeout_DoesNotExpire(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		for i, timeout := range []string{"99999999H", "2562047H", "99999999M"} {
			simnet.Advance(time.Hour)
			id := uint32(2*i + 1)
			ts.handle(func(st ServerStream) {
				deadline, ok := st.Context().Deadline()
				if left := time.Until(deadline); !ok || left < 100*365*24*time.Hour || st.Context().Err() != nil {
					t.Errorf("%s: %v are left, error %v", timeout, left, st.Context().Err())
				}
				st.WriteStatus(nil)
			})
			ts.peer.WriteRequest(id, "/u/Long", []byte("x"), true, "grpc-timeout", timeout)
			<-ts.streams
			ts.peer.WantTrailers("it has time", id, codes.OK)
		}
	})
}
