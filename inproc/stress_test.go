package inproc

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Whatever both ends do, in whatever order: every call ends, once, every place
// and buffer comes back, and nothing runs at last.
func TestManyEnds(t *testing.T) {
	for seed := range uint64(8) {
		var cc transport.ClientConfig
		cc.InitialWindowSize = 2000
		c, s := Pipe(cc, transport.ServerConfig{MaxConcurrentStreams: 8})
		s.StartStreams(t.Context(), func(st transport.ServerStream) { serveAnyhow(st, rand.New(rand.NewPCG(seed, rand.Uint64()))) }, nil)
		var work sync.WaitGroup
		for i := range uint64(16) {
			work.Go(func() {
				r := rand.New(rand.NewPCG(seed, i))
				for range 60 {
					callAnyhow(t, c, r)
				}
			})
		}
		switch seed % 4 {
		case 1:
			work.Go(c.GracefulClose)
		case 2:
			work.Go(func() {
				for range 1000 {
					runtime.Gosched()
				}
				s.Close("in the middle")
			})
		case 3:
			work.Go(func() { s.Drain("early") })
		}
		work.Wait()
		// What ended a call may still be about to take it out of the table.
		p := c.(*clientTransport).pipe
		eventually(func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.streams) == 0 && p.places.line.Len() == 0
		})
		c.Close("the end")
		<-c.Done()
		eventually(func() bool { // handlers may still run
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.places.taken == 0
		})
	}
}

// eventually waits until f says yes: if never, the test times out.
func eventually(f func() bool) {
	for !f() {
		runtime.Gosched()
	}
}

// callAnyhow makes a call that may end in any way.
func callAnyhow(t *testing.T, c transport.ClientTransport, r *rand.Rand) {
	timeout := 20 * time.Millisecond // both ends may wait for each other
	if r.IntN(3) == 0 {
		timeout = time.Duration(r.IntN(500)) * time.Microsecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if r.IntN(4) == 0 {
		defer context.AfterFunc(ctx, func() {})()
		go cancel()
	}
	call := &transport.Call{Method: "/s/m", Metadata: metadata.Pairs("k", "v"), MaxRecvMessageSize: 1000 + r.IntN(2000)}
	if r.IntN(2) == 0 {
		var reply transport.Reply
		err := c.RoundTrip(ctx, call, message(r.IntN(3000)), &reply)
		if err == nil && !reply.GotTrailer() {
			t.Error("a call succeeded without a status")
		}
		reply.Free()
		return
	}
	cs, err := c.NewStream(ctx, call)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	sends, last := r.IntN(5), r.IntN(2) == 0
	both.Go(func() {
		for range sends {
			if cs.Send(message(1500)) != nil {
				return
			}
		}
		if last {
			cs.CloseSend()
		}
	})
	if r.IntN(3) == 0 {
		_ = cs.Header()
	}
	for n := 0; ; n++ {
		if n == 3 && r.IntN(2) == 0 {
			cs.Cancel(io.ErrNoProgress)
		}
		m, err := cs.Recv()
		if err == nil {
			m.Free()
			continue
		}
		if err != io.EOF && status.Code(err) == codes.OK {
			t.Errorf("a stream ended with %v", err)
		}
		if _, again := cs.Recv(); again == nil {
			t.Error("a message after the end")
		}
		break
	}
	cs.Header()
	if cs.Status() == nil {
		t.Error("a stream ended without a status")
	}
	cs.Cancel(io.ErrNoProgress)
	both.Wait()
}

// serveAnyhow handles a call in any way.
func serveAnyhow(st transport.ServerStream, r *rand.Rand) {
	_ = st.SetTrailer(metadata.Pairs("t", "1"))
	switch r.IntN(7) {
	case 0:
		m, err := st.Request()
		if err == nil {
			m.Free()
		}
		st.Reply(message(r.IntN(3000)))
	case 1:
		st.WriteStatus(status.New(codes.Aborted, "early"))
	case 2:
		_ = st.SendHeader(metadata.Pairs("h", "1"))
		for range r.IntN(6) {
			if st.Send(message(900)) != nil {
				break
			}
		}
		st.WriteStatus(nil)
	case 3:
		for {
			m, err := st.Recv()
			if err != nil {
				break
			}
			m.Free()
			_ = st.Send(message(10))
			if st.Context().Err() != nil {
				break
			}
			if r.IntN(3) == 0 {
				st.WriteStatus(nil)
				return
			}
		}
		st.WriteStatus(status.New(codes.DataLoss, "enough"))
	case 4:
		runtime.Goexit()
	case 5:
		go st.WriteStatus(nil) // and the handler returns meanwhile
	default:
		_ = st.Send(message(5000))
		st.Reply(message(1))
	}
}
