package transport

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a call waited for when its deadline passed stands in its error: whose
// turn it was, and what did not move.
//
// Feature: a passed deadline says what the call waited for.
func TestDeadline_SaysWhatWasAwaited(t *testing.T) {
	const waited = 10 * time.Second
	for _, tt := range []struct {
		name     string
		settings []http2.Setting
		do       func(t *testing.T, cs ClientStream, p *h2peer.Peer)
		want     string
	}{
		{"no answer", nil, func(_ *testing.T, _ ClientStream, p *h2peer.Peer) {
			p.WritePing([8]byte{1})
		}, "has not answered"},
		{"nothing at all", nil, func(*testing.T, ClientStream, *h2peer.Peer) {}, "has not answered, and nothing has come from it since the call began"},
		{"headers only", nil, func(_ *testing.T, _ ClientStream, p *h2peer.Peer) {
			p.WriteHeaders(1, false, ":status", "200", "content-type", "application/grpc")
		}, "has begun to answer and has not ended the call"},
		{"a message that nobody takes", nil, func(_ *testing.T, _ ClientStream, p *h2peer.Peer) {
			p.WriteResponse(1, []byte("a"))
		}, "wait to be received here"},
		{"a message that nobody takes, and the end", nil, func(_ *testing.T, _ ClientStream, p *h2peer.Peer) {
			p.WriteResponse(1, []byte("a"))
			p.WriteTrailers(1, codes.OK, "")
		}, "wait to be received here"},
		{"the stream's window", []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 100}}, func(t *testing.T, cs ClientStream, _ *h2peer.Peer) {
			if err := cs.Send(NewBuffer(1000)); err != nil {
				t.Fatal(err)
			}
		}, "messages wait for the stream's window: the server"},
		{"the connection's window", []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}, func(t *testing.T, cs ClientStream, _ *h2peer.Peer) {
			if err := cs.Send(NewBuffer(65535)); err != nil {
				t.Fatal(err)
			}
		}, "messages wait for the connection's window: the server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				<-time.After(time.Second) // of the bubble: SETTINGS came before the call
				ctx, cancel := context.WithTimeout(t.Context(), waited)
				defer cancel()
				cs, err := ct.NewStream(ctx, &Call{Method: "/s/Bidi"})
				if err != nil {
					t.Fatal(err)
				}
				tt.do(t, cs, p)
				<-ctx.Done()
				synctest.Wait()
				s := cs.Status()
				if s.Code() != codes.DeadlineExceeded || !strings.HasPrefix(s.Message(), "context deadline exceeded: ") || !strings.Contains(s.Message(), tt.want) {
					t.Errorf("the call ended with %v, want %q", s, tt.want)
				}
				if tt.name == "no answer" && strings.Contains(s.Message(), "nothing has come") {
					t.Errorf("the call ended with %v, though the peer lives", s)
				}
			}, tt.settings...)
		})
	}
}

// A unary call takes its message when it has ended: what is missing is the end.
func TestDeadline_RoundTrip_SaysWhatWasAwaited(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call := roundTrip(ctx, ct, "q")
		p.WantHeaders("the call comes", 1)
		p.WriteResponse(1, []byte("a"))
		err := call.wantError(t, codes.DeadlineExceeded)
		if s := status.Convert(err); !strings.HasSuffix(s.Message(), "has begun to answer and has not ended the call") {
			t.Errorf("the call ended with %v", s)
		}
	})
}

// A unary call whose answer is on its way to it when its deadline passes waits
// for that: who asks what it waits for does not wake it, because nothing is
// locked when it takes the answer.
func TestDeadline_AnswerOnItsWay_WakesNobody(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, _ *h2peer.Peer) {
		st := ct.(*http2Client).unaryStream(100)
		st.out.left, st.in.ended = true, true // the reader is about to signal
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		st.client.ctx = ctx
		if s := st.client.contextError(ctx).Status; s.Message() != context.DeadlineExceeded.Error() {
			t.Errorf("it says %v of a call that has ended", s)
		}
		select {
		case <-st.in.C():
			t.Error("who asked woke the call")
		default:
		}
	})
}
