package transport

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A client waits for the server's SETTINGS, as long as its context allows.
// Rows A2, A10, A29, B5, B13: a transport is given out when the server has
// shown that it speaks HTTP/2; one that is silent costs what the context
// allows, and no goroutine.
func TestNewHTTP2Client_WaitsForSettings(t *testing.T) {
	synctestClient(t, ClientConfig{}, func(p *h2peer.Peer, made chan madeClient) {
		p.WantSettings("the client's preface")
		wantPending(t, "NewHTTP2Client", made)
		p.WriteSettings()
		m := <-made
		if m.err != nil {
			t.Fatal(m.err)
		}
		m.ct.Close("the test is over")
	})
	synctestClient(t, ClientConfig{}, func(p *h2peer.Peer, made chan madeClient) {
		p.WantSettings("the client's preface")
		simnet.Advance(timeToConnect)
		m := <-made
		if m.ct != nil || !errors.Is(m.err, errTooSlow) {
			t.Errorf("NewHTTP2Client gave %v, %v", m.ct, m.err)
		}
		wantConnError(t, m.err, CodeNoError, ByLocal)
	})
}

// What is no HTTP/2 server is called by its name.
// Rows A29, B9: the first frame must be SETTINGS, and whatever else comes is no
// server.
func TestNewHTTP2Client_NotHTTP2_SaysWhatItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		octets, says string
		code         ErrCode
	}{
		"HTTP/1":  {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "speaks HTTP/1", CodeFrameSize},
		"TLS":     {"\x15\x03\x01\x00\x02\x02\x46 and some more octets", "speaks TLS", CodeFrameSize},
		"garbage": {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "does not speak HTTP/2", CodeFrameSize},
		"PING":    {"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "", CodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			synctestClient(t, ClientConfig{}, func(p *h2peer.Peer, made chan madeClient) {
				p.WriteRaw([]byte(tt.octets))
				m := <-made
				wantConnError(t, m.err, tt.code, ByLocal)
				if !strings.Contains(m.err.Error(), tt.says) {
					t.Errorf("the error is %q, want %q", m.err, tt.says)
				}
			})
		})
	}
	synctestClient(t, ClientConfig{}, func(p *h2peer.Peer, made chan madeClient) {
		p.Close()
		if m := <-made; m.err == nil {
			t.Error("a server that closes at once is no error")
		}
	})
}

// What a server does wrong with the connection ends it, and its calls with it.
// Rows A83, C7, C13: PUSH_PROMISE, which nobody asked for, and frames on idle
// streams end a client's connection, with the error that RFC 9113 names.
func TestClientConnectionErrors(t *testing.T) {
	for _, f := range []connFault{
		{"PUSH_PROMISE", func(p *h2peer.Peer) {
			p.WriteFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, append([]byte{0, 0, 0, 2}, p.Encode(":method", "GET")...))
		}, http2.ErrCodeProtocol},
		{"ENABLE_PUSH of 1", func(p *h2peer.Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}) }, http2.ErrCodeProtocol},
		{"HEADERS on an idle stream", func(p *h2peer.Peer) { p.WriteResponse(99, nil) }, http2.ErrCodeProtocol},
		{"HEADERS on an even stream", func(p *h2peer.Peer) { p.WriteResponse(2, nil) }, http2.ErrCodeProtocol},
		{"DATA on an idle stream", func(p *h2peer.Peer) { p.WriteData(99, false, []byte("x")) }, http2.ErrCodeProtocol},
		{"RST_STREAM on an idle stream", func(p *h2peer.Peer) { p.WriteReset(99, http2.ErrCodeCancel) }, http2.ErrCodeProtocol},
		{"WINDOW_UPDATE on an idle stream", func(p *h2peer.Peer) { p.WriteWindowUpdate(99, 1) }, http2.ErrCodeProtocol},
		{"WINDOW_UPDATE of 0", func(p *h2peer.Peer) { p.WriteWindowUpdate(0, 0) }, http2.ErrCodeProtocol},
		{"a frame that is too large", func(p *h2peer.Peer) { p.WriteFrame(http2.FrameData, 0, 1, make([]byte, 16385)) }, http2.ErrCodeFrameSize},
		{"an invalid header block", func(p *h2peer.Peer) { p.WriteHeadersRaw(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, true) }, http2.ErrCodeCompression},
	} {
		t.Run(f.name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				p.Ignore(http2.FrameWindowUpdate)
				call := roundTrip(t.Context(), ct, "x")
				p.WantHeaders("a call", 1)
				p.WantMessage("its message", 1)
				f.do(p)
				if g := p.WantGoAway("the connection ends", f.code); g.Debug == "" {
					t.Error("GOAWAY does not say why")
				}
				p.WantClosed("and is closed")
				wantConnError(t, ct.Err(), ErrCode(f.code), ByLocal)
				var ce *ConnError
				if err := call.wantError(t, codes.Unavailable); !errors.As(err, &ce) || ce != ct.Err() {
					t.Errorf("the call ended with %v, the connection with %v", err, ct.Err())
				}
			})
		})
	}
}

// The end of the network ends the calls, and says that it was the network.
func TestClient_ConnectionBreaks_EndsItsCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		made := async(func() madeClient {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
			return madeClient{ct, err}
		})
		p.Handshake()
		m := <-made
		call := roundTrip(t.Context(), m.ct, "x")
		p.WantHeaders("a call", 1)
		b.(*simnet.Conn).Reset()
		err := call.wantError(t, codes.Unavailable)
		wantStreamError(t, err, CodeNoError, ByNetwork)
		<-m.ct.Done()
		wantConnError(t, m.ct.Err(), CodeNoError, ByNetwork)
	})
}

// A call ends with its context: the server gets RST_STREAM CANCEL, the caller
// the cause.
func TestCall_ContextEnds_IsReset(t *testing.T) {
	cause := errors.New("the user went home")
	for name, tt := range map[string]struct {
		ctx  func(parent context.Context) (context.Context, func())
		code codes.Code
		is   error
	}{
		"cancelled": {func(parent context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(parent)
			return ctx, func() { cancel(cause) }
		}, codes.Canceled, cause},
		"deadline": {func(parent context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(parent, time.Second)
			return ctx, func() { simnet.Advance(time.Second); cancel() }
		}, codes.DeadlineExceeded, context.DeadlineExceeded},
	} {
		check := func(t *testing.T, err error) {
			t.Helper()
			if se := wantStreamError(t, err, CodeCancel, ByLocal); status.Code(err) != tt.code || !errors.Is(err, tt.is) || se.Unprocessed {
				t.Errorf("the call ended with %v", err)
			}
		}
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				ctx, end := tt.ctx(t.Context())
				call := roundTrip(ctx, ct, "x")
				p.WantHeaders("a unary call", 1)
				p.WantMessage("its message", 1)
				end()
				p.WantReset("the call is over", 1, http2.ErrCodeCancel)
				<-call.done
				check(t, call.err)

				err := roundTrip(ctx, ct, "x").wantError(t, tt.code)
				check2 := wantStreamError(t, err, CodeCancel, ByLocal)
				if !check2.Unprocessed {
					t.Error("a call that was not sent is not Unprocessed")
				}
				p.WantIdle("a call whose context has ended is not sent")

				ctx, end = tt.ctx(t.Context())
				cs := openStream(ctx, t, ct, p, 3)
				recv := async(func() error { _, err := cs.Recv(); return err })
				header := async(func() int { return len(cs.Header()) })
				wantPending(t, "Recv", recv)
				end()
				p.WantReset("the stream is over", 3, http2.ErrCodeCancel)
				check(t, <-recv)
				<-header
				p.WriteResponse(3, []byte("late"))
				p.WriteTrailers(3, codes.OK, "")
				p.WantIdle("what comes late is ignored")
				if cs.Status().Code() != tt.code {
					t.Errorf("status is %v", cs.Status())
				}
			})
		})
	}
}

// Cancel ends a stream as its context would, and drops what was not received.
// Row A6: what ends a stream is a method of the stream.
func TestCancel_OpenStream_IsReset(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cause := errors.New("had enough")
		cs := openStream(t.Context(), t, ct, p, 1)
		p.WriteResponse(1, []byte("not received"))
		p.WantIdle("the response is there")
		cs.Cancel(cause)
		p.WantReset("the stream is over", 1, http2.ErrCodeCancel)
		_, err := cs.Recv()
		if wantStreamError(t, err, CodeCancel, ByLocal); !errors.Is(err, cause) {
			t.Errorf("Recv gave %v", err)
		}
		cs.Cancel(errors.New("again"))
		p.WantIdle("it is reset once")
	})
}

// A deadline goes to the server as grpc-timeout, never longer than it is.
func TestDeadline_OfACall_IsSent(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		call := roundTrip(ctx, ct, "x")
		if h := p.WantHeaders("a call", 1); !strings.HasPrefix(h.Get("grpc-timeout"), "1500") {
			t.Errorf("grpc-timeout is %q", h.Get("grpc-timeout"))
		}
		p.WantMessage("its message", 1)
		p.WriteReset(1, http2.ErrCodeCancel)
		call.wantError(t, codes.Canceled)

		ctx, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		slow := openStream(ctx, t, ct, p, 3)
		<-ctx.Done()
		_, err := slow.Recv()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("Recv gave %v", err)
		}
	})
}

// The end of a call is the last that the reader has to do with its stream, which
// the caller reads without a lock from then on: the stream has left the table, so
// that nobody looks at it there.
func TestReceived_Fault_StreamHasLeftBeforeItsCallerHears(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		tr := ct.(*http2Client)
		call := roundTrip(t.Context(), ct, "x")
		take(p, 1)
		tr.mu.Lock()
		st := tr.streams.find(1)
		tr.mu.Unlock()
		st.in.Lock()
		st.in.stop(localErrorf(CodeCancel, codes.Internal, "a message without sense"))
		st.in.over = true
		st.in.Unlock(false)
		tr.mu.Lock()
		over := async(func() bool { tr.received(st); return true })
		early := false
		for n := 0; n < 10_000 && !early; n++ {
			runtime.Gosched()
			select {
			case <-call.done:
				early = true
			default:
			}
		}
		tr.mu.Unlock()
		if early {
			t.Error("the caller has heard, and the stream was in the table")
		}
		<-over
		tr.mu.Lock()
		tr.flush(flushNow)
		call.wantError(t, codes.Internal)
		p.WantReset("it is reset", 1, http2.ErrCodeCancel)
	})
}
