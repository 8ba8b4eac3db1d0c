package weir_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// endsTold keeps how calls ended for a stats handler, and for OnFinish.
type endsTold struct {
	indifferent
	mu   sync.Mutex
	errs []error
}

func (e *endsTold) HandleRPC(_ context.Context, s stats.RPCStats) {
	if end, ok := s.(*stats.End); ok {
		e.finished(end.Error)
	}
}

func (e *endsTold) finished(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs = append(e.errs, err)
}

// A stream whose deadline passes ends in one way for all who hear of it, in
// whatever order they do: who receives, OnFinish and the stats handler.
func TestStreamDeadline_IsToldInTheSameWords(t *testing.T) {
	const deadline = time.Minute
	answer := func(p *h2peer.Peer) {
		p.WriteResponse(1, []byte{})
	}
	for name, tt := range map[string]struct {
		do   func(p *h2peer.Peer)
		code codes.Code
		text string
	}{
		"no answer":             {func(p *h2peer.Peer) { p.WritePing([8]byte{1}) }, codes.DeadlineExceeded, "has not answered"},
		"an answer, and unread": {answer, codes.DeadlineExceeded, "wait to be received here"},
		"a failure, unread": {func(p *h2peer.Peer) {
			p.WriteTrailersOnly(1, codes.NotFound, "there is none")
		}, codes.NotFound, "there is none"},
		"a reset, unread": {func(p *h2peer.Peer) {
			p.WriteReset(1, http2.ErrCodeInternal)
		}, codes.Internal, "INTERNAL_ERROR"},
		"success, with a message unread": {func(p *h2peer.Peer) {
			answer(p)
			p.WriteTrailers(1, codes.OK, "")
		}, codes.DeadlineExceeded, "wait to be received here"},
		"success, unread": {func(p *h2peer.Peer) {
			p.WriteTrailersOnly(1, codes.OK, "")
		}, codes.OK, ""},
	} {
		for _, with := range []string{"", ", with a stats handler", ", whose context ends"} {
			t.Run(name+with, func(t *testing.T) {
				told := new(endsTold)
				var opts []weir.DialOption
				want := 1
				if with == ", with a stats handler" {
					opts = append(opts, weir.WithStatsHandler(told))
					want = 2
				}
				configured(t, "{}", func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					s, p := streamOf(ctx, t, c, accept, grpc.OnFinish(told.finished))
					if with == ", whose context ends" {
						s.Context() // a child of the caller's: it may end later
					}
					for range 1000 { // so that they do not all end at once
						defer context.AfterFunc(ctx, func() {})()
					}
					tt.do(p)
					<-ctx.Done()
					synctest.Wait()
					_, err := s.Recv()
					if err == io.EOF {
						err = nil
					}
					if got := status.Convert(err); got.Code() != tt.code || !strings.Contains(got.Message(), tt.text) {
						t.Errorf("the stream gives %v, want %v %q", err, tt.code, tt.text)
					}
					told.mu.Lock()
					defer told.mu.Unlock()
					for _, e := range told.errs {
						if status.Convert(e).String() != status.Convert(err).String() {
							t.Errorf("the stream gives\n%v, but told is\n%v", err, e)
						}
					}
					if len(told.errs) != want {
						t.Errorf("the end was told %d times, want %d", len(told.errs), want)
					}
				}, opts...)
			})
		}
	}
}

// So does one that has no attempt at the moment, since another one is being made,
// whoever found out that it takes one. Nor is it told otherwise when the Client is
// closed then.
func TestStreamDeadline_BetweenAttempts(t *testing.T) {
	refuse := func(p *h2peer.Peer) { p.WriteReset(1, http2.ErrCodeRefusedStream) }
	for name, tt := range map[string]struct {
		fail func(p *h2peer.Peer)
		text string
	}{
		"a token": {refuse, "no token in time"},
		"a pause": {func(p *h2peer.Peer) { fails(p, 1, codes.Unavailable) }, "for its next attempt"},
		"a connection": {func(p *h2peer.Peer) {
			p.WriteGoAway(0, http2.ErrCodeNo, "go elsewhere")
		}, "waited for a connection"},
		"a stream slot": {func(p *h2peer.Peer) {
			p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			refuse(p)
		}, "for a stream slot"},
	} {
		for _, finder := range []string{"Recv", "Send"} {
			for _, end := range []string{"deadline", "Close"} {
				t.Run(name+"/"+finder+"/"+end, func(t *testing.T) {
					for range 20 { // in whatever order they hear of the end
						told := new(endsTold)
						configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
							ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
							defer cancel()
							opts := []grpc.CallOption{grpc.OnFinish(told.finished)}
							if name == "a token" {
								opts = append(opts, grpc.PerRPCCredentials(&secondThoughts{}))
							}
							s, p := streamOf(ctx, t, c, accept, opts...)
							p.Ignore(http2.FrameSettings)
							tt.fail(p)
							synctest.Wait()
							found := make(chan struct{})
							go func() {
								defer close(found)
								if finder == "Send" {
									_ = s.Send(request(1))
								} else {
									_, _ = s.Recv()
								}
							}()
							code := codes.DeadlineExceeded
							if synctest.Wait(); end == "Close" {
								code = codes.Canceled
								_ = c.Close()
							}
							<-found
							synctest.Wait()
							_, err := s.Recv()
							if status.Code(err) != code || end == "deadline" && !strings.Contains(err.Error(), tt.text) {
								t.Errorf("the stream gives %v, want %v %q", err, code, tt.text)
							}
							told.mu.Lock()
							defer told.mu.Unlock()
							if len(told.errs) != 1 || status.Convert(told.errs[0]).String() != status.Convert(err).String() {
								t.Errorf("the stream gives\n%v, but told is\n%v", err, told.errs)
							}
						})
					}
				})
			}
		}
	}
}

// secondThoughts are credentials that have no token for the second attempt of a call.
type secondThoughts struct{ asked atomic.Bool }

func (*secondThoughts) RequireTransportSecurity() bool { return false }

func (s *secondThoughts) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if s.asked.Swap(true) {
		<-ctx.Done()
		return nil, status.Errorf(status.FromContextError(ctx.Err()).Code(), "no token in time")
	}
	return nil, nil
}

// streamOf opens a stream and gives both its ends.
func streamOf(ctx context.Context, t *testing.T, c *weir.Client, accept func() *h2peer.Peer, opts ...grpc.CallOption) (duplex, *h2peer.Peer) {
	t.Helper()
	opened := make(chan duplex, 1)
	go func() {
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx, opts...)
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	p := accept()
	p.AnyOrder()
	p.WantHeaders("a stream comes", 1)
	return <-opened, p
}
