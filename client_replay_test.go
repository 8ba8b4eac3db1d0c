package weir_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

type duplex = grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]

func request(n int) *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: bytes.Repeat([]byte{byte(n)}, n)}}
}

// wantSent wants the messages of request, with these sizes, on a stream.
func wantSent(t *testing.T, p *h2peer.Peer, id uint32, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		var got testpb.StreamingOutputCallRequest
		if err := proto.Unmarshal(p.WantMessage("a message comes", id), &got); err != nil || !proto.Equal(&got, request(n)) {
			t.Fatalf("a message of %d octets comes, %v, want %d", len(got.GetPayload().GetBody()), err, n)
		}
	}
}

// A stream that is refused before anything of the answer came is opened again,
// with the messages that were sent and the end if it was, whichever call of the
// client finds out. It takes further messages.
func TestTransparentRetryOfStream(t *testing.T) {
	finds := map[string]func(s duplex) error{
		"Recv":   func(s duplex) error { _, err := s.Recv(); return err },
		"Header": func(s duplex) error { _, err := s.Header(); return err },
	}
	for name, dial := range clients {
		for found, find := range finds {
			for _, ended := range []bool{false, true} {
				for _, goAway := range []bool{false, true} {
					t.Run(name+"/"+found+map[bool]string{true: ", ended"}[ended]+map[bool]string{true: ", GOAWAY"}[goAway], func(t *testing.T) {
						a := newActor(t)
						c := dial(t, a.address())
						c.Connect()
						p := a.accept()
						s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						p.WantHeaders("a stream comes", 1)
						for _, n := range []int{0, 1, 1000} {
							if err := s.Send(request(n)); err != nil {
								t.Fatal(err)
							}
						}
						if ended {
							_ = s.CloseSend()
						}
						wantSent(t, p, 1, 0, 1, 1000)
						if ended {
							p.WantEndStream("and the end", 1)
						}
						id := uint32(3)
						if goAway {
							p.WriteGoAway(0, http2.ErrCodeNo, "elsewhere")
						} else {
							p.WriteReset(1, http2.ErrCodeRefusedStream)
						}
						result := make(chan error, 1)
						go func() { result <- find(s) }()
						if goAway {
							id, p = 1, a.accept()
						}
						p.WantHeaders("it comes again", id)
						wantSent(t, p, id, 0, 1, 1000)
						if ended {
							p.WantEndStream("with its end", id)
						}
						p.WriteResponse(id, []byte{})
						if err := <-result; err != nil {
							t.Errorf("the stream gives %v", err)
						}
						if ended {
							return
						}
						if err := s.Send(request(7)); err != nil {
							t.Error(err)
						}
						wantSent(t, p, id, 7)
					})
				}
			}
		}
	}
}

// A Send that waits finds that the stream is refused, and its message is sent
// with those before.
func TestTransparentRetryBySend(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			s, p := opened(t, dial)
			p.AnyOrder()                                   // what came before the refusal
			sizes := []int{100 << 10, 100 << 10, 40 << 10} // the third waits: the server gives no credit
			sent := make(chan error, len(sizes))
			go func() {
				for _, n := range sizes {
					sent <- s.Send(request(n))
				}
			}()
			for range 2 {
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
			}
			p.WriteReset(1, http2.ErrCodeRefusedStream)
			p.WantHeaders("it comes again", 3)
			p.WriteWindowUpdate(0, 1<<20)
			p.WriteWindowUpdate(3, 1<<20)
			if err := <-sent; err != nil {
				t.Errorf("the third Send gives %v", err)
			}
			wantSent(t, p, 3, sizes...)
		})
	}
}

// While a stream that was opened again has no credit for what was sent before,
// what the server says is received all the same: it may wait for that.
func TestTransparentRetryReceivesWhileItSends(t *testing.T) {
	s, p := opened(t, clients["weir"])
	p.AnyOrder()
	p.WriteWindowUpdate(0, 1<<20)
	p.WriteWindowUpdate(1, 1<<20)
	sizes := []int{60 << 10, 60 << 10, 60 << 10, 60 << 10} // more than a stream's window and Send take
	for _, n := range sizes {
		if err := s.Send(request(n)); err != nil {
			t.Fatal(err)
		}
	}
	p.WriteReset(1, http2.ErrCodeRefusedStream)
	result := make(chan error, 1)
	go func() {
		_, err := s.Recv()
		result <- err
	}()
	p.WantHeaders("it comes again", 3)
	p.WriteResponse(3, []byte{})
	select {
	case err := <-result:
		if err != nil {
			t.Errorf("the stream gives %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stream gives nothing, though the server has answered")
	}
	p.WriteWindowUpdate(3, 1<<20)
	wantSent(t, p, 3, sizes...)
}

// A stream is not opened again once the server has answered, or if it has been
// opened again already, or if more was sent than is kept.
func TestTransparentRetryOfStreamEnds(t *testing.T) {
	refuse := func(p *h2peer.Peer, id uint32) { p.WriteReset(id, http2.ErrCodeRefusedStream) }
	for name, dial := range clients {
		for kind, f := range map[string]func(t *testing.T, s duplex, p *h2peer.Peer){
			"headers came": func(t *testing.T, s duplex, p *h2peer.Peer) {
				p.WriteResponse(1, nil)
				if _, err := s.Header(); err != nil {
					t.Error(err)
				}
				refuse(p, 1)
			},
			"a message came": func(t *testing.T, s duplex, p *h2peer.Peer) {
				p.WriteResponse(1, []byte{})
				if _, err := s.Recv(); err != nil {
					t.Error(err)
				}
				refuse(p, 1)
			},
			"refused twice": func(_ *testing.T, s duplex, p *h2peer.Peer) {
				refuse(p, 1)
				go func() {
					p.WantHeaders("it comes again", 3)
					refuse(p, 3)
				}()
			},
			"more than is kept": func(t *testing.T, s duplex, p *h2peer.Peer) {
				p.Ignore(http2.FrameData)
				for range 3 { // 256 KiB and some, without credit of the server
					if err := s.Send(request(90 << 10)); err != nil {
						t.Error(err)
					}
				}
				refuse(p, 1)
			},
			"its context was asked for": func(_ *testing.T, s duplex, p *h2peer.Peer) {
				_ = s.Context()
				refuse(p, 1)
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				c, p := connected(t, dial)
				p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
				p.WriteWindowUpdate(0, 1<<20)
				p.AnyOrder()
				p.Ignore(http2.FrameSettings)
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("a stream comes", 1)
				f(t, s, p)
				if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
					t.Errorf("Recv gives %v, want UNAVAILABLE", err)
				}
				if err := s.Send(request(1)); err != io.EOF {
					t.Errorf("Send gives %v, want io.EOF", err)
				}
			})
		}
	}
}

// grpc.MaxRetryRPCBufferSize sets how much is kept.
func TestTransparentRetryBufferSize(t *testing.T) {
	for name, dial := range clients {
		for _, tt := range []struct {
			size int
			want codes.Code
		}{
			{5 + 1000 + 6, codes.OK}, // the message and its prefix
			{5 + 1000 + 5, codes.Unavailable},
			{0, codes.Unavailable},
		} {
			t.Run(name, func(t *testing.T) {
				c, p := connected(t, dial)
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context(), grpc.MaxRetryRPCBufferSize(tt.size))
				if err == nil {
					err = s.Send(request(1000))
				}
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("a stream comes", 1)
				wantSent(t, p, 1, 1000)
				p.WriteReset(1, http2.ErrCodeRefusedStream)
				result := make(chan error, 1)
				go func() {
					_, err := s.Recv()
					result <- err
				}()
				if tt.want == codes.OK {
					p.WantHeaders("it comes again", 3)
					wantSent(t, p, 3, 1000)
					p.WriteResponse(3, []byte{})
				}
				if err := <-result; status.Code(err) != tt.want {
					t.Errorf("with a buffer of %d octets Recv gives %v, want %v", tt.size, err, tt.want)
				}
			})
		}
	}
}

// A stream that is to be opened again where there is no server any more ends
// with why.
func TestTransparentRetryFails(t *testing.T) {
	a := newActor(t)
	c := newWeirClient(t, "passthrough:///"+a.address())
	c.Connect()
	p := a.accept()
	s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.WantHeaders("a stream comes", 1)
	a.lis.Close()
	p.WriteGoAway(0, http2.ErrCodeNo, "gone for good")
	if md, err := s.Header(); md != nil || err != nil {
		t.Errorf("Header gives %v, %v", md, err)
	}
	_, err = s.Recv()
	wantText(t, err, codes.Unavailable, "no connection for", a.address())
	select {
	case <-s.Context().Done():
	case <-time.After(20 * time.Second):
		t.Error("the stream's context goes on")
	}
}

// Whoever finds out, and in whatever moment: the messages of a stream that is
// refused come on the next one, each once and in order, and the end behind them.
func TestTransparentRetryInAnyMoment(t *testing.T) {
	const messages = 30
	c, p := connected(t, clients["weir"])
	p.AnyOrder()
	p.WriteWindowUpdate(0, 1<<20)
	for round := range 60 {
		id := uint32(1 + 4*round)
		s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.WantHeaders("a stream comes", id)
		errs := make(chan error, 3)
		go func() {
			for n := range messages {
				if err := s.Send(request(n)); err != nil {
					errs <- err
					return
				}
			}
			errs <- s.CloseSend()
		}()
		go func() {
			_, err := s.Header()
			errs <- err
		}()
		go func() {
			_, err := s.Recv()
			errs <- err
		}()
		for n := range round % (messages + 1) {
			wantSent(t, p, id, n)
		}
		p.WriteReset(id, http2.ErrCodeRefusedStream)
		p.WantHeaders("it comes again", id+2)
		for n := range messages {
			wantSent(t, p, id+2, n)
		}
		p.WantEndStream("with its end", id+2)
		p.WriteResponse(id+2, []byte{})
		p.WriteTrailers(id+2, codes.OK, "")
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
}
