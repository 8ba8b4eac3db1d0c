package transport

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/frame"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Row A62: a stream beyond the limit is refused, so that the client may try it
// again elsewhere; a handler that still runs counts, whatever its client did.
// h2spec http2/5.1.2/1.
func TestStreams_BeyondTheLimit_AreRefused(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 2}, func(t *testing.T, ts *testServer) {
		_, endOne := ts.open(1, "/s/Stream")
		ts.open(3, "/s/Stream")
		ts.peer.WriteRequest(5, "/u/Echo", []byte("one too many"), true)
		ts.peer.WantReset("a third stream is refused", 5, http2.ErrCodeRefusedStream)

		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		ts.peer.WriteRequest(7, "/u/Echo", []byte("too early"), true)
		ts.peer.WantReset("the handler of the first still runs", 7, http2.ErrCodeRefusedStream)
		ts.peer.WriteWindowUpdate(7, 1)
		ts.peer.WriteReset(7, http2.ErrCodeCancel)
		ts.peer.WantIdle("frames that were on their way are ignored")

		endOne()
		synctest.Wait()
		ts.wantUnharmed(9)
	})
}

// Row A62: a thousand streams that are opened and reset at once are no more
// handlers than the limit allows.
func TestStreams_OpenedAndReset_KeepTheLimit(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 10}, func(t *testing.T, ts *testServer) {
		ts.peer.Ignore(http2.FrameRSTStream)
		for id := uint32(1); id < 2000; id += 2 {
			ts.peer.WriteRequest(id, "/s/Stream", nil, false)
			ts.peer.WriteReset(id, http2.ErrCodeCancel)
		}
		ts.peer.WantIdle("the server is done with it")
		if n := len(ts.streams); n != 10 {
			t.Errorf("%d handlers run, 10 are allowed", n)
		}
		for range 10 {
			<-ts.streams
			ts.handle(func(ServerStream) {})
		}
		synctest.Wait()
		ts.wantUnharmed(2001)
	})
}

// A unary call whose request never comes counts until it is reset.
func TestStreams_WithoutTheirRequest_Count(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 1}, func(t *testing.T, ts *testServer) {
		for id := uint32(1); id < 20; id += 4 {
			ts.peer.WriteRequest(id, "/u/Echo", nil, false)
			ts.peer.WriteRequest(id+2, "/u/Echo", nil, false)
			ts.peer.WantReset("one stream is open", id+2, http2.ErrCodeRefusedStream)
			ts.peer.WriteReset(id, http2.ErrCodeCancel)
		}
		ts.wantUnharmed(101)
	})
}

// Row A60: an id counts before anything becomes of its stream: GOAWAY names
// streams that were refused too.
func TestGoAway_AfterRefusals_NamesTheHighestStream(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 1}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteHeaders(1, true, ":method", "POST")
		ts.peer.WantReset("a malformed one", 1, http2.ErrCodeProtocol)
		ts.open(3, "/s/Stream")
		ts.peer.WriteRequest(9, "/s/Stream", nil, true)
		ts.peer.WantReset("one too many", 9, http2.ErrCodeRefusedStream)
		ts.sv.Close("the end")
		if g := ts.peer.WantGoAway("the last word", http2.ErrCodeNo); g.LastStreamID != 9 {
			t.Errorf("GOAWAY names stream %d, want 9", g.LastStreamID)
		}
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
// Row A59: an id that is not larger than those before is an error of the
// connection, PROTOCOL_ERROR if it was passed over and STREAM_CLOSED if it was
// a stream that has ended; so is an even one, see TestConnectionErrors.
func TestStreamID_NotRising_EndsTheConnection(t *testing.T) {
	for id, code := range map[uint32]http2.ErrCode{
		1: http2.ErrCodeProtocol, 3: http2.ErrCodeProtocol, 5: http2.ErrCodeStreamClosed,
		7: http2.ErrCodeProtocol, 99: http2.ErrCodeProtocol, 101: http2.ErrCodeStreamClosed,
	} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.wantUnharmed(5)
			ts.wantUnharmed(101)
			ts.wantUnharmed(103)
			ts.peer.Ignore(http2.FrameWindowUpdate)
			ts.peer.WriteRequest(id, "/u/Echo", nil, true)
			ts.peer.WantGoAway("stream 103 is open already", code)
			ts.wantConnError(ErrCode(code), ByLocal)
		})
	}
}

// Other frames on a stream that was passed over are those on a closed one.
func TestStreamID_PassedOver_IsClosed(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.wantUnharmed(9)
		ts.peer.WriteReset(3, http2.ErrCodeCancel)
		ts.peer.WriteWindowUpdate(3, 1)
		ts.peer.WritePriority(3, http2.PriorityParam{StreamDep: 1})
		ts.peer.WantIdle("these are ignored")
		ts.peer.WriteData(3, true, []byte("x"))
		ts.peer.WantReset("DATA is not", 3, http2.ErrCodeStreamClosed)
		ts.wantUnharmed(11)
	})
}

// Row A78: what comes on a stream after END_STREAM is STREAM_CLOSED.
func TestFrames_AfterEndStream_ResetTheStream(t *testing.T) {
	for name, do := range map[string]func(ts *testServer){
		"DATA":    func(ts *testServer) { ts.peer.WriteData(1, false, []byte("more")) },
		"HEADERS": func(ts *testServer) { ts.peer.WriteHeaders(1, true, "with", "trailers") },
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				st, _ := ts.open(1, "/s/Stream")
				ts.peer.WriteMessage(1, true, []byte("all of it"))
				do(ts)
				ts.peer.WantReset("the stream had ended", 1, http2.ErrCodeStreamClosed)
				<-st.Context().Done()
				ts.wantUnharmed(3)
			})
		})
	}
}

// "An endpoint MUST ignore frames that it receives on closed streams after it
// has sent a RST_STREAM frame": https://www.rfc-editor.org/rfc/rfc9113#section-5.1
// Row A77: and their header blocks are decoded all the same.
func TestFrames_AfterOurReset_AreIgnored(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		_, end := ts.open(1, "/s/Stream")
		end()
		ts.peer.WantTrailers("the handler is gone", 1, codes.Internal)
		ts.peer.WantReset("and wants no more", 1, http2.ErrCodeNo)
		ts.peer.WriteMessage(1, false, []byte("late"))
		ts.peer.WriteWindowUpdate(1, 10)
		ts.peer.WriteHeaders(1, true, "late", "trailers", "to-be", "indexed")
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		ts.peer.WantIdle("all of that is ignored")
		st, _ := ts.open(3, "/s/Stream", "to-be", "indexed")
		if got := st.Metadata()["to-be"]; len(got) != 1 || got[0] != "indexed" {
			t.Errorf("metadata is %v: the decoder is out of step", st.Metadata())
		}
	})
}

// Row A82: request trailers end the request; gRPC has no use for them. Without
// END_STREAM or with pseudo-header fields they are malformed.
// Row C9: request trailers do not cost the connection.
func TestRequestTrailers(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.handle(echoUnary)
		ts.peer.WriteRequest(1, "/u/Echo", []byte("hi"), false)
		ts.peer.WantIdle("the request is not complete")
		ts.peer.WriteHeaders(1, true, "with", "trailers")
		ts.peer.WantHeaders("now it is", 1)
		ts.peer.WantMessage("and answered", 1)
		ts.peer.WantTrailers("well", 1, codes.OK)
		<-ts.streams

		ts.open(3, "/s/Stream")
		ts.peer.WriteHeaders(3, false, "with", "more to come")
		ts.peer.WantReset("trailers end a stream", 3, http2.ErrCodeProtocol)
		ts.open(5, "/s/Stream")
		ts.peer.WriteHeaders(5, true, ":path", "/s/Stream")
		ts.peer.WantReset("trailers have no pseudo-header fields", 5, http2.ErrCodeProtocol)
		ts.wantUnharmed(7)
	})
}

// Row A77: PRIORITY and unknown frames are passed over, whatever their stream;
// a stream that depends on itself is an error.
func TestFrames_WithoutUse_ArePassedOver(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WritePriority(1, http2.PriorityParam{StreamDep: 99})
		ts.peer.WritePriority(0x7fffffff, http2.PriorityParam{StreamDep: 1})
		ts.peer.WriteFrame(0x42, 0xff, 77, []byte("what is this?"))
		ts.peer.WantIdle("nothing to say to that")
		ts.open(1, "/s/Stream")
		ts.peer.WritePriority(1, http2.PriorityParam{StreamDep: 1})
		ts.peer.WantReset("a stream depends on itself", 1, http2.ErrCodeProtocol)
		ts.wantUnharmed(3)
	})
}

// A reset ends the handler's context with the cause that the client gave.
func TestReset_ByTheClient_EndsTheHandler(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.peer.WriteMessage(1, false, []byte("dropped"))
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		<-st.Context().Done()
		_, err := st.Recv()
		wantStreamError(t, err, CodeCancel, ByPeer)
		wantStreamError(t, st.Send(octets(3)), CodeCancel, ByPeer)
		st.WriteStatus(nil)
		ts.peer.WantIdle("nothing can be said any more")
	})
}

// A transport whose connection ends before HandleStreams leaves nothing.
// Row A11: Close, Drain, Done and Err tell how a connection ended, and
// HandleStreams says the same.
func TestServer_EndsBeforeHandleStreams(t *testing.T) {
	for name, end := range map[string]func(sv ServerTransport){
		"Close": func(sv ServerTransport) { sv.Close("never used") },
		"Drain": func(sv ServerTransport) { sv.Drain("never used"); sv.Close("now") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b, p := pipePeer(t)
				made := async(func() ServerTransport {
					sv, err := NewServerTransport(b, ServerConfig{})
					if err != nil {
						t.Error(err)
					}
					return sv
				})
				p.Handshake()
				sv := <-made
				end(sv)
				<-sv.Done()
				if err := sv.HandleStreams(t.Context(), nil); err != sv.Err() || err == nil {
					t.Errorf("HandleStreams gave %v, Err %v", err, sv.Err())
				}
			})
		})
	}
}

// Row A70: a transport that is closed is not revived by a request that its
// reader still had in hand.
func TestServer_Closed_OpensNoStream(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.sv.Close("before the request")
		s := ts.sv.(*http2Server)
		memo := &field.Memo{}
		for i := 0; i < len(good); i += 2 {
			memo.Fields = append(memo.Fields, field.Field{Name: good[i], Value: good[i+1]})
		}
		request := &field.List{Memo: memo}
		for id, open := range map[uint32]func(uint32, bool, *field.List) *frame.Error{1: s.headers, 3: s.newStream} {
			if err := open(id, true, request); err != nil {
				t.Errorf("stream %d gave %v", id, err)
			}
		}
		s.batchEnd()
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams.len() != 0 || s.open != 0 || len(ts.streams) > 0 {
			t.Errorf("%d streams, %d of them open, %d handlers", s.streams.len(), s.open, len(ts.streams))
		}
		ts.peer.Ignore(http2.FrameGoAway)
	})
}

// Row C14: a request whose header list is too large counts for the last stream
// of GOAWAY, and its header block for the decoder.
func TestGoAway_AfterTooLargeHeaders_NamesTheirStream(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: ConnConfig{MaxHeaderListSize: 1000}}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteRequest(7, "/u/Echo", nil, true, "big", strings.Repeat("x", 2000), "to-be", "indexed")
		ts.peer.WantTrailers("too large", 7, codes.ResourceExhausted)
		st, end := ts.open(9, "/s/Stream", "to-be", "indexed")
		if got := st.Metadata().Get("to-be"); len(got) != 1 || got[0] != "indexed" {
			t.Errorf("metadata is %v: the decoder is out of step", st.Metadata())
		}
		end()
		ts.peer.WantTrailers("the handler is gone", 9, codes.Internal)
		ts.peer.WantReset("and wants no more", 9, http2.ErrCodeNo)
		ts.peer.WriteRequest(11, "/u/Echo", nil, true, "big", strings.Repeat("x", 2000))
		ts.peer.WantTrailers("too large again", 11, codes.ResourceExhausted)
		ts.sv.Close("the end")
		if g := ts.peer.WantGoAway("the last word", http2.ErrCodeNo); g.LastStreamID != 11 {
			t.Errorf("GOAWAY names stream %d, want 11", g.LastStreamID)
		}
	})
}

// Rows A5, C12: while handlers use up the limit and block, the reader goes on:
// PING is answered, credit reaches who waits for it, a reset its handler, and
// what is too much is refused.
func TestReader_HandlersUsedUp_GoesOn(t *testing.T) {
	for _, path := range []string{"/s/Stream", "/u/Echo"} {
		t.Run(path, func(t *testing.T) {
			inServer(t, ServerConfig{MaxConcurrentStreams: 2}, func(t *testing.T, ts *testServer) {
				release := make(chan struct{})
				for range 2 {
					ts.handle(func(st ServerStream) {
						<-release
						st.WriteStatus(nil)
					})
				}
				ts.peer.WriteRequest(1, path, []byte("x"), true)
				ts.peer.WriteRequest(3, path, []byte("x"), true)
				first, second := <-ts.streams, <-ts.streams
				if first.(*http2ServerStream).id != 1 {
					first, second = second, first
				}
				sent := async(func() error { return first.Send(octets(95)) })
				ts.peer.WantHeaders("an answer begins", 1)
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				for id := uint32(5); id < 50; id += 2 {
					ts.peer.WriteRequest(id, path, []byte("x"), true)
					ts.peer.WantReset("one too many", id, http2.ErrCodeRefusedStream)
				}
				ts.peer.WritePing([8]byte{1})
				ts.peer.WantPingAck("the reader is there", [8]byte{1})
				ts.peer.WriteWindowUpdate(1, 100)
				if d := ts.peer.WantData("credit counts", 1); d.Length != 100 {
					t.Errorf("%d octets for a credit of 100", d.Length)
				}
				ts.peer.WriteReset(3, http2.ErrCodeCancel)
				<-second.Context().Done()
				close(release)
				ts.peer.WantTrailers("the other one ends", 1, codes.OK)
				synctest.Wait()
				ts.peer.WriteSettings(window(65535))
				ts.peer.WantSettingsAck("no more of the small window")
				ts.wantUnharmed(51)
			}, window(0))
		})
	}
}
