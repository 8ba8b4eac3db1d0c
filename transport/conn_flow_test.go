package transport

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func window(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}

// smallWindows is the configuration of a side whose streams have a window of
// 1,000 octets.
func smallWindows() ConnConfig { return ConnConfig{InitialWindowSize: 1000} }

// Rows A41, A79: exactly filling a stream's window is legal; one octet more is
// FLOW_CONTROL_ERROR for the stream, and for nothing else.
func TestStreamWindow_Overrun_EndsTheStreamOnly(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		inServer(t, ServerConfig{ConnConfig: smallWindows()}, func(t *testing.T, ts *testServer) {
			st, _ := ts.open(1, "/s/Stream")
			ts.peer.WriteMessage(1, false, make([]byte, 995))
			ts.peer.WantIdle("a thousand octets fill the window")
			ts.peer.WriteData(1, false, []byte{0})
			ts.peer.WantReset("the next one overruns it", 1, http2.ErrCodeFlowControl)
			<-st.Context().Done()
			_, err := st.Recv()
			wantStreamError(t, err, CodeFlowControl, ByLocal)
			ts.wantUnharmed(3)
		})
	})
	t.Run("client", func(t *testing.T) {
		inClient(t, ClientConfig{ConnConfig: smallWindows()}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			cs := openStream(t.Context(), t, ct, p, 1)
			p.WriteResponse(1, make([]byte, 995))
			p.WantIdle("a thousand octets fill the window")
			p.WriteData(1, false, []byte{0})
			p.WantReset("the next one overruns it", 1, http2.ErrCodeFlowControl)
			wantMessage(t, cs, string(make([]byte, 995)))
			_, err := cs.Recv()
			wantStreamError(t, err, CodeFlowControl, ByLocal)
			if cs.Status().Code() != codes.Internal {
				t.Errorf("status is %v", cs.Status())
			}
		})
	})
}

// fillConn uses up a connection's window to its last octet, of which a
// thousand return: the window that was asked for.
func fillConn(t *testing.T, p *h2peer.Peer, id uint32) {
	t.Helper()
	for left := 65535; left > 0; {
		n := min(left, 16384)
		if left > 1000 {
			n = min(n, left-1000)
		}
		p.WriteData(id, false, make([]byte, n))
		synctest.Wait() // so that no read cuts a frame in two
		left -= n
	}
	if n := p.WantWindowUpdate("the window was filled, that is legal", 0); n != 1000 {
		t.Fatalf("credit of %d octets for 1,000", n)
	}
}

// Row A44: the same holds for the connection, whose window may be below the
// 65,535 octets that it starts with; its overrun ends the connection.
// Row C4: what a peer may have under way is bounded for the connection too.
func TestConnWindow_Overrun_EndsTheConnection(t *testing.T) {
	cfg := ConnConfig{InitialConnWindowSize: 1000, InitialWindowSize: 1 << 20}
	t.Run("server", func(t *testing.T) {
		inServer(t, ServerConfig{ConnConfig: cfg, MaxRecvMessageSize: -1}, func(t *testing.T, ts *testServer) {
			ts.open(1, "/s/Stream")
			fillConn(t, ts.peer, 1)
			ts.peer.Ignore(http2.FrameWindowUpdate)
			ts.peer.WriteData(1, false, make([]byte, 1001))
			ts.peer.WantGoAway("one octet too many", http2.ErrCodeFlowControl)
			ts.peer.WantClosed("ends the connection")
			ts.wantConnError(CodeFlowControl, ByLocal)
		})
	})
	t.Run("client", func(t *testing.T) {
		inClient(t, ClientConfig{ConnConfig: cfg}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			openStream(t.Context(), t, ct, p, 1)
			p.WriteResponse(1, nil)
			fillConn(t, p, 1)
			p.Ignore(http2.FrameWindowUpdate)
			p.WriteData(1, false, make([]byte, 1001))
			p.WantGoAway("one octet too many", http2.ErrCodeFlowControl)
			p.WantClosed("ends the connection")
			wantConnError(t, ct.Err(), CodeFlowControl, ByLocal)
		})
	})
}

// Rows A38, A80: padding and the octet that tells its length count against the
// windows, and are credited at once since nobody reads them.
func TestPadding_Received_CountsAndIsCredited(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: smallWindows()}, func(t *testing.T, ts *testServer) {
		ts.open(1, "/s/Stream")
		ts.peer.WriteDataPadded(1, false, h2peer.Message(make([]byte, 95)), 249)
		if n := ts.peer.WantWindowUpdate("padding earns credit at once", 1); n != 250 {
			t.Errorf("250 octets of padding earned %d", n)
		}
		ts.peer.WriteDataPadded(1, false, make([]byte, 645), 255)
		ts.peer.WantReset("645+256 octets are one more than the 900 left", 1, http2.ErrCodeFlowControl)
	})
}

// Rows A39, A75: the connection's credit returns on receipt: for streams that
// nobody reads, for those that were reset and for those that were refused.
func TestConnCredit_ForOctetsNobodyReads_Returns(t *testing.T) {
	const part = 16384
	for name, prepare := range map[string]func(ts *testServer){
		"unread": func(ts *testServer) { ts.open(1, "/s/Stream") },
		"reset by us": func(ts *testServer) {
			_, end := ts.open(1, "/s/Stream")
			end()
			ts.peer.WantTrailers("the handler returns without a status", 1, codes.Internal)
			ts.peer.WantReset("and wants no more", 1, http2.ErrCodeNo)
		},
		"refused": func(ts *testServer) {
			ts.peer.WriteHeaders(1, false, ":method", "POST", ":scheme", "http", ":path", "/s/Stream")
			ts.peer.WantTrailers("no content-type", 1, codes.Internal)
			ts.peer.Ignore(http2.FrameRSTStream) // no interest in the rest
		},
		"reset by the client": func(ts *testServer) {
			ts.open(1, "/s/Stream")
			ts.peer.WriteReset(1, http2.ErrCodeCancel)
			ts.peer.Ignore(http2.FrameRSTStream) // STREAM_CLOSED
		},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{ConnConfig: ConnConfig{InitialConnWindowSize: 65535, InitialWindowSize: 1 << 20}}, func(t *testing.T, ts *testServer) {
				prepare(ts)
				for range 8 { // twice the window
					ts.peer.WriteData(1, false, make([]byte, part))
					if n := ts.peer.WantWindowUpdate("a quarter of the window is granted again", 0); n != part {
						t.Fatalf("credit of %d octets for %d", n, part)
					}
				}
				ts.wantUnharmed(3)
			})
		})
	}
}

// Rows A40, A42, A43: a stream's credit returns when the application has taken
// a message, as much as that was, and not before.
func TestStreamCredit_MessageTaken_Returns(t *testing.T) {
	inServer(t, ServerConfig{ConnConfig: smallWindows()}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		for range 5 {
			ts.peer.WriteMessage(1, false, make([]byte, 195))
		}
		ts.peer.WantIdle("nothing is taken yet")
		wantMessage(t, st, string(make([]byte, 195)))
		ts.peer.WantIdle("200 octets are less than a quarter of the window")
		wantMessage(t, st, string(make([]byte, 195)))
		if n := ts.peer.WantWindowUpdate("400 octets are more", 1); n != 400 {
			t.Errorf("credit of %d octets for 400 taken", n)
		}
		for range 3 {
			wantMessage(t, st, string(make([]byte, 195)))
		}
		if n := ts.peer.WantWindowUpdate("reading everything grants again what was read", 1); n != 400 {
			t.Errorf("credit of %d octets, want 400", n)
		}
	})
}

// Row A45: a message larger than the window gets the room that it lacks, for
// unary calls and streams alike, and reading it does not grant that again.
func TestMessage_LargerThanTheWindow_GetsItsRoom(t *testing.T) {
	for _, path := range []string{"/s/Stream", "/u/Echo"} {
		t.Run(path, func(t *testing.T) {
			inServer(t, ServerConfig{ConnConfig: smallWindows()}, func(t *testing.T, ts *testServer) {
				ts.handle(func(st ServerStream) {
					wantMessage(t, st, string(make([]byte, 9995)))
					st.WriteStatus(nil)
				})
				ts.peer.WriteRequest(1, path, nil, false)
				whole := h2peer.Message(make([]byte, 9995))
				ts.peer.WriteData(1, false, whole[:1000])
				if n := ts.peer.WantWindowUpdate("the rest of the message is granted at once", 1); n != 9000 {
					t.Errorf("credit of %d octets, 9,000 are missing", n)
				}
				ts.peer.WriteData(1, true, whole[1000:])
				ts.peer.WantTrailers("the message arrived", 1, codes.OK)
				ts.peer.WantIdle("and earned no credit on a stream that has ended")
			})
		})
	}
	t.Run("answer to a unary call", func(t *testing.T) {
		inClient(t, ClientConfig{ConnConfig: smallWindows()}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			call := roundTrip(t.Context(), ct, "x")
			p.WantHeaders("the call", 1)
			p.WantMessage("its message", 1)
			whole := h2peer.Message([]byte(strings.Repeat("y", 9995)))
			p.WriteResponse(1, nil)
			p.WriteData(1, false, whole[:1000])
			if n := p.WantWindowUpdate("the rest is granted at once", 1); n != 9000 {
				t.Errorf("credit of %d octets, 9,000 are missing", n)
			}
			p.WriteData(1, false, whole[1000:])
			p.WriteTrailers(1, codes.OK, "")
			call.want(t, strings.Repeat("y", 9995))
		})
	})
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
// Rows A46, A50: SETTINGS_INITIAL_WINDOW_SIZE moves the windows of open
// streams, below zero too: credit then has to make up for it first. h2spec
// http2/6.9.2/1 and http2/6.9.2/2.
func TestInitialWindowSize_Changed_MovesOpenStreams(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		if err := st.Send(octets(195)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantHeaders("the answer", 1)
		if d := ts.peer.WantData("fills the window", 1); d.Length != 100 {
			t.Fatalf("%d octets in a window of 100", d.Length)
		}
		ts.peer.WantIdle("the other 100 octets wait")
		ts.peer.WriteSettings(window(150))
		ts.peer.WantSettingsAck("the window grows by 50")
		if d := ts.peer.WantData("50 more may go", 1); d.Length != 50 {
			t.Fatalf("%d octets for 50 more", d.Length)
		}
		ts.peer.WriteSettings(window(10))
		ts.peer.WantSettingsAck("the window is at -140")
		ts.peer.WriteWindowUpdate(1, 140)
		ts.peer.WantIdle("it is at 0")
		ts.peer.WriteWindowUpdate(1, 1)
		if d := ts.peer.WantData("it is at 1", 1); d.Length != 1 {
			t.Fatalf("%d octets for 1", d.Length)
		}
		ts.peer.WriteSettings(window(1000))
		ts.peer.WantSettingsAck("everything fits")
		if d := ts.peer.WantData("the rest", 1); d.Length != 49 {
			t.Fatalf("the rest is %d octets", d.Length)
		}
		st.WriteStatus(nil)
		ts.peer.WantTrailers("the end", 1, codes.OK)
	}, window(100))
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
// Row A47: a window that a WINDOW_UPDATE raises past 2^31-1 ends the stream,
// one that SETTINGS raise past it the connection. 2^31-1 itself is legal.
// Row C3: no send window wraps.
func TestSendWindow_PastTheMaximum_IsAnError(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.open(1, "/s/Stream")
		ts.peer.WriteWindowUpdate(1, 1<<31-1-65535)
		ts.peer.WantIdle("the largest window is legal")
		ts.peer.WriteWindowUpdate(1, 1)
		ts.peer.WantReset("one more is not", 1, http2.ErrCodeFlowControl)
		ts.wantUnharmed(3)
	})
	for _, settings := range [][]http2.Setting{
		{window(1<<31 - 1)},
		{window(0), window(1<<31 - 1), window(10)}, // each value counts for a moment
	} {
		inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
			ts.open(1, "/s/Stream")
			ts.peer.Ignore(http2.FrameWindowUpdate)
			ts.peer.WriteWindowUpdate(1, 1)
			ts.peer.WriteSettings(settings...)
			ts.peer.WantGoAway("stream 1 has one octet too many", http2.ErrCodeFlowControl)
			ts.wantConnError(CodeFlowControl, ByLocal)
		})
	}
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.peer.WriteSettings(window(1<<31-1), window(0), window(7))
		ts.peer.WantSettingsAck("the largest window is legal, the last one counts")
		if err := st.Send(octets(95)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantHeaders("the answer", 1)
		if d := ts.peer.WantData("as the window allows", 1); d.Length != 7 {
			t.Errorf("%d octets in a window of 7", d.Length)
		}
	})
}

// Row A51: an increment of 0 is an error of the stream, or of the connection:
// see TestConnectionErrors.
func TestWindowUpdate_OfZero_ResetsTheStream(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.open(1, "/s/Stream")
		ts.peer.WriteWindowUpdate(1, 0)
		ts.peer.WantReset("a useless update", 1, http2.ErrCodeProtocol)
		ts.wantUnharmed(3)
	})
}

// Rows A52, A102: what has no octets needs no credit: an empty DATA frame with
// END_STREAM, and trailers.
// Row C11: END_STREAM and trailers pass a connection's window that is used up.
func TestEndOfStream_WithoutCredit_IsSent(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		big, _ := ts.open(1, "/s/Stream")
		ts.peer.WriteWindowUpdate(1, 1<<20)
		sent := async(func() error { return big.Send(octets(70000)) })
		ts.peer.WantHeaders("an answer", 1)
		for got := 0; got < 65535; {
			got += ts.peer.WantData("uses up the connection's window", 1).Length
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		ts.peer.WantIdle("the connection's window is zero")
		st, _ := ts.open(3, "/s/Stream")
		st.WriteStatus(status.New(codes.NotFound, "nothing here"))
		ts.peer.WantTrailers("trailers pass", 3, codes.NotFound)
		ts.peer.WantReset("the stream is over", 3, http2.ErrCodeNo)
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		cs.CloseSend()
		p.WantEndStream("the end passes a window of zero", 1)
		p.WriteTrailersOnly(1, codes.OK, "")
		if _, err := cs.Recv(); err != io.EOF {
			t.Errorf("Recv gave %v", err)
		}
	}, window(0))
}

// Row A48: a message larger than the window goes in pieces, as credit comes.
func TestSend_LargerThanTheWindow_GoesInPieces(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, strings.Repeat("z", 1000))
		p.WantHeaders("the call", 1)
		for range 10 {
			if d := p.WantData("a piece as large as the window", 1); d.Length != 100 || d.EndStream {
				t.Fatalf("%d octets, end of stream %v", d.Length, d.EndStream)
			}
			p.WantIdle("the window is used up")
			p.WriteWindowUpdate(1, 100)
		}
		if d := p.WantData("the rest", 1); d.Length != 5 || !d.EndStream {
			t.Fatalf("the rest is %d octets, end of stream %v", d.Length, d.EndStream)
		}
		p.WriteResponse(1, []byte("ok"))
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "ok")
	}, window(100))
}

// Row A49: credit adds up, whatever was outstanding: a stream that had sent
// little can be granted more than it ever had.
func TestCredit_BeyondWhatIsOutstanding_Counts(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		ts.peer.WriteWindowUpdate(1, 900)
		synctest.Wait()
		if err := st.Send(octets(995)); err != nil {
			t.Fatal(err)
		}
		ts.peer.WantHeaders("the answer", 1)
		if d := ts.peer.WantData("goes in one piece", 1); d.Length != 1000 {
			t.Errorf("%d octets of 1,000 in the first frame", d.Length)
		}
	}, window(100))
}

// A stream whose credit still waits when it ends gets none: nothing follows a
// reset.
func TestCredit_OfAStreamThatEnds_IsDropped(t *testing.T) {
	inClient(t, ClientConfig{ConnConfig: ConnConfig{InitialWindowSize: 500}}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		openStream(t.Context(), t, ct, p, 1)
		p.Batch(func() {
			p.WriteResponse(1, nil)
			p.WriteFrame(http2.FrameData, http2.FlagDataPadded, 1, append([]byte{200}, make([]byte, 200)...))
			p.WriteData(1, true, nil)
		})
		p.WantReset("a response without trailers", 1, http2.ErrCodeNo)
		p.WantIdle("no credit for the padding")
	})
}

// What is on its way for streams that this side has reset is nobody's fault,
// however many streams they are: it ends no connection, and provokes nothing.
//
// "An endpoint that sends a RST_STREAM frame on a stream that is in the "open" or
// "half-closed (local)" state could receive any type of frame. [...] An endpoint
// MUST minimally process and then discard any frames it receives in this state."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
func TestLateData_OfManyStreams_IsNobodysFault(t *testing.T) {
	for name, cut := range map[string]int{"whole": 0, "in pieces": 7} {
		t.Run(name, func(t *testing.T) { lateData(t, cut) })
	}
}

// lateData has many streams cancelled that get frames, of which no more than cut
// octets come at once.
func lateData(t *testing.T, cut int) {
	t.Helper()
	const streams, messages = 1000, 40
	synctest.Test(t, func(t *testing.T) {
		nc, served := simnet.Pipe(simnet.Link{})
		ct, a := clientAttackedOver(t, nc, newAttacker(t, served))
		ctx, cancel := context.WithCancel(t.Context())
		for id := uint32(1); id < 2*streams; id += 2 {
			if _, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"}); err != nil {
				t.Fatal(err)
			}
			_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: a.encode(":status", "200", "content-type", "application/grpc")})
		}
		a.send()
		synctest.Wait()
		cancel()
		synctest.Wait()
		nc.(*simnet.Conn).CutRead(cut)
		for range messages {
			for id := uint32(1); id < 2*streams; id += 2 {
				_ = a.fr.WriteData(id, false, []byte{0, 0, 0, 0, 1, 'x'})
			}
		}
		for id := uint32(1); id < 2*streams; id += 2 {
			_ = a.fr.WriteData(id, true, nil)
		}
		a.send()
		synctest.Wait()
		if err := ct.Err(); err != nil {
			t.Fatalf("the connection ended: %v", err)
		}
		a.mu.Lock()
		if a.resets != streams {
			t.Errorf("%d streams were reset with %d frames", streams, a.resets)
		}
		a.mu.Unlock()
		ct.Close("the test is over")
		_ = a.nc.Close()
	})
}

// What a peer sends behind its own reset is its fault, though others are reset by
// this side and theirs is not.
func TestData_AfterThePeersReset_IsAFault(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.open(1, "/s/Stream")
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		ts.peer.WriteData(1, false, make([]byte, 100))
		ts.peer.WantReset("DATA behind RST_STREAM", 1, http2.ErrCodeStreamClosed)
	})
}
