package weir_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// attemptsSeen is a stats handler that writes down attempts in short.
type attemptsSeen struct {
	indifferent
	mu    chan struct{} // of one
	lines []string
}

type attemptNumber struct{}

func (a *attemptsSeen) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	a.mu <- struct{}{}
	defer func() { <-a.mu }()
	a.lines = append(a.lines, "")
	return context.WithValue(ctx, attemptNumber{}, len(a.lines)-1)
}

func (a *attemptsSeen) HandleRPC(ctx context.Context, s stats.RPCStats) {
	a.mu <- struct{}{}
	defer func() { <-a.mu }()
	line := &a.lines[ctx.Value(attemptNumber{}).(int)]
	switch s := s.(type) {
	case *stats.Begin:
		*line += fmt.Sprintf("Begin(%v)", s.IsTransparentRetryAttempt)
	case *stats.OutPayload:
		*line += fmt.Sprintf(" Out(%d)", s.Length)
	case *stats.InPayload:
		*line += " In"
	case *stats.InTrailer:
		*line += " Trailer"
	case *stats.End:
		*line += fmt.Sprintf(" End(%v)", status.Code(s.Error))
	}
}

// A stats handler hears of each attempt, from its begin to its end, with the
// message that it sends.
func TestRetry_Stats(t *testing.T) {
	for kind, call := range kindsOfCalls {
		t.Run(kind, func(t *testing.T) {
			seen := &attemptsSeen{mu: make(chan struct{}, 1)}
			configured(t, methodConfig(retryPolicy), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				seen.mu = make(chan struct{}, 1)
				result := call(t.Context(), c)
				p := accept()
				for i, end := range []func(*testing.T, *h2peer.Peer, uint32){failing(codes.Unavailable), resetting(http2.ErrCodeRefusedStream), answering} {
					wantAttempt(t, p, uint32(1+2*i), min(i, 1))
					synctest.Wait()
					end(t, p, uint32(1+2*i))
				}
				if o := <-result; o.err != nil {
					t.Error(o.err)
				}
				n := 9
				want := []string{
					fmt.Sprintf("Begin(false) Out(%d) Trailer End(Unavailable)", n),
					fmt.Sprintf("Begin(false) Out(%d) End(Unavailable)", n),
					fmt.Sprintf("Begin(true) Out(%d) In Trailer End(OK)", n),
				}
				if !slices.Equal(seen.lines, want) {
					t.Errorf("the handler heard\n%q, want\n%q", seen.lines, want)
				}
			}, weir.WithStatsHandler(seen))
		})
	}
}
