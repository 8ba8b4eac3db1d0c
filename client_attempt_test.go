package weir_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A call that the server has certainly not acted on is made once more, and
// nobody hears of it: after REFUSED_STREAM, and after a GOAWAY that leaves it
// out. Others are not.
func TestTransparentRetry(t *testing.T) {
	for name, dial := range clients {
		t.Run(name+"/REFUSED_STREAM", func(t *testing.T) {
			a := newActor(t)
			call := invoke(t.Context(), dial(t, a.address()))
			p := a.accept()
			wantRequest(p, 1)
			p.WriteReset(1, http2.ErrCodeRefusedStream)
			wantRequest(p, 3)
			answer(t, p, 3, "the second")
			if o := <-call; o.err != nil || o.username != "the second" {
				t.Errorf("the call gives %+v", o)
			}
		})
		t.Run(name+"/GOAWAY", func(t *testing.T) {
			a := newActor(t)
			c := dial(t, a.address())
			kept := invoke(t.Context(), c)
			p := a.accept()
			wantRequest(p, 1)
			left := invoke(t.Context(), c)
			wantRequest(p, 3)
			p.WriteGoAway(1, http2.ErrCodeNo, "enough")
			p2 := a.accept()
			wantRequest(p2, 1)
			answer(t, p2, 1, "elsewhere")
			if o := <-left; o.err != nil || o.username != "elsewhere" {
				t.Errorf("the call beyond GOAWAY gives %+v", o)
			}
			answer(t, p, 1, "here")
			if o := <-kept; o.err != nil || o.username != "here" {
				t.Errorf("the call before GOAWAY gives %+v", o)
			}
		})
		for _, code := range []http2.ErrCode{http2.ErrCodeInternal, http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm, http2.ErrCodeNo} {
			t.Run(name+"/"+code.String(), func(t *testing.T) {
				a := newActor(t)
				c := dial(t, a.address())
				call := invoke(t.Context(), c)
				p := a.accept()
				wantRequest(p, 1)
				p.WriteReset(1, code)
				if o := <-call; o.err == nil {
					t.Errorf("the call gives %+v", o)
				}
				next := invoke(t.Context(), c)
				wantRequest(p, 3) // and nothing before it
				answer(t, p, 3, "")
				if err := (<-next).err; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A server that refuses a call twice is not asked a third time.
func TestTransparentRetryEnds(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			c := dial(t, a.address())
			call := invoke(t.Context(), c)
			p := a.accept()
			for id := uint32(1); id < 5; id += 2 {
				wantRequest(p, id)
				p.WriteReset(id, http2.ErrCodeRefusedStream)
			}
			wantText(t, (<-call).err, codes.Unavailable, "REFUSED_STREAM")
			next := invoke(t.Context(), c)
			wantRequest(p, 5)
			answer(t, p, 5, "")
			wantText(t, (<-next).err, codes.OK)
		})
	}
}

// A call that never leaves the client is tried as often as it takes, and a
// refusal afterwards is still its first.
func TestTransparentRetryOfUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan net.Conn)
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			ours, theirs := simnet.Pipe(simnet.Link{})
			conns <- theirs
			return ours, nil
		}))
		accept := func(settings ...http2.Setting) *h2peer.Peer {
			p := h2peer.NewServer(t, <-conns)
			p.Ignore(http2.FrameWindowUpdate, http2.FrameGoAway)
			p.Handshake(settings...)
			synctest.Wait()
			return p
		}
		call := invoke(t.Context(), c)
		for range 10 {
			p := accept(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			select {
			case o := <-call:
				t.Fatalf("the call does not wait for a stream: %+v", o)
			default:
			}
			p.WriteGoAway(0, http2.ErrCodeNo, "elsewhere")
		}
		p := accept()
		wantRequest(p, 1)
		p.WriteReset(1, http2.ErrCodeRefusedStream)
		wantRequest(p, 3)
		answer(t, p, 3, "at last")
		if o := <-call; o.err != nil || o.username != "at last" {
			t.Errorf("the call gives %+v", o)
		}
		c.Close()
	})
}

// expiring gives each attempt a deadline that has passed.
type expiring struct{ stats.Handler }

func (expiring) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	ctx, cancel := context.WithTimeout(ctx, -1)
	cancel()
	return ctx
}

func (expiring) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (expiring) HandleRPC(context.Context, stats.RPCStats)                         {}
func (expiring) HandleConn(context.Context, stats.ConnStats)                       {}

// An attempt whose own context has ended is not made again, though nothing of
// it was sent: so would all that follow.
func TestTransparentRetryOfNoTime(t *testing.T) {
	a := newActor(t)
	c := newWeirClient(t, "passthrough:///"+a.address(), weir.WithStatsHandler(expiring{}))
	c.Connect()
	a.accept()
	for c.GetState() != connectivity.Ready {
		c.WaitForStateChange(t.Context(), c.GetState())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	wantText(t, (<-invoke(ctx, c)).err, codes.DeadlineExceeded, "")
	if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a stream gives %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the calls went on until their own contexts ended")
	}
}
