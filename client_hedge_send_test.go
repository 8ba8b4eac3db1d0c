package weir_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// A stream that sends more than is kept while all of its attempts have failed, and
// the next is to wait as its server has asked, ends with the last of them: there is
// none to go on with.
func TestHedging_SendsTooMuchBetweenAttempts(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		sends(t, s, 1)
		p.WantHeaders("the first attempt", 1)
		wantSent(t, p, 1, 1)
		fails(p, 1, codes.Unavailable, pushback("60000")...)
		p.WantReset("nothing more is to be sent on it", 1, http2.ErrCodeNo)
		synctest.Wait()
		sent := make(chan error, 1)
		go func() { sent <- s.Send(request(1000)) }()
		simnet.Advance(2 * time.Minute)
		select {
		case err := <-sent:
			if err != io.EOF {
				t.Errorf("Send gives %v", err)
			}
			_, err = s.Recv()
			wantText(t, err, codes.Unavailable, "no")
			p.WantIdle("no attempt is made for it")
		default:
			t.Fatal("Send waits for ever")
		}
	}, grpc.MaxRetryRPCBufferSize(100))
}
