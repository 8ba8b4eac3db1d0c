package transport

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Row A72: messages come in their order, then io.EOF.
func TestServerRecv_GivesMessagesThenEOF(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		recv := async(func() error { wantMessage(t, st, "one"); return nil })
		wantPending(t, "Recv", recv)
		ts.peer.WriteMessage(1, false, []byte("one"))
		<-recv
		ts.peer.Batch(func() {
			ts.peer.WriteMessage(1, false, []byte("two"))
			ts.peer.WriteMessage(1, false, nil)
			ts.peer.WriteMessage(1, true, []byte("four"))
		})
		wantMessage(t, st, "two")
		wantMessage(t, st, "")
		wantMessage(t, st, "four")
		for range 2 {
			if _, err := st.Recv(); err != io.EOF {
				t.Errorf("Recv gave %v, want io.EOF", err)
			}
		}
	})
}

// A message that cannot be taken ends the request for its handler, which has
// the status ready: too large, malformed, cut short.
// Row A20: a message beyond the limit costs its stream, before it is put
// together.
func TestServerRecv_BadMessage_GivesItsStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		octets []byte
		code   codes.Code
		says   string
	}{
		"too large": {append([]byte{0, 0, 0, 0, 101}, make([]byte, 101)...), codes.ResourceExhausted, "MaxRecvMsgSize"},
		"promises":  {[]byte{0, 255, 255, 255, 255}, codes.ResourceExhausted, "MaxRecvMsgSize"},
		"flag":      {[]byte{7, 0, 0, 0, 1, 1}, codes.Internal, "malformed"},
		"cut short": {[]byte{0, 0, 0, 0, 9, 1, 2}, codes.Internal, "middle"},
		"prefix":    {[]byte{0, 0}, codes.Internal, "middle"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/s/Stream", "/u/Echo"} {
				inServer(t, ServerConfig{MaxRecvMessageSize: 100}, func(t *testing.T, ts *testServer) {
					ts.handle(echoUnary)
					ts.peer.WriteRequest(1, path, nil, false)
					ts.peer.WriteData(1, true, tt.octets)
					h := ts.peer.WantTrailers("the handler says what is wrong", 1, tt.code)
					if !strings.Contains(h.Get("grpc-message"), tt.says) {
						t.Errorf("the message is %q, want %q", h.Get("grpc-message"), tt.says)
					}
					<-ts.streams
					ts.wantUnharmed(3)
				})
			}
		})
	}
}

// Headers are sent once, the status is sent once: what comes too late is
// refused, and changes nothing.
func TestAnswer_Twice_IsRefused(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		mustNot := func(err error) {
			t.Helper()
			if err == nil {
				t.Error("it came too late and was accepted")
			}
		}
		must(st.SetHeader(metadata.Pairs("a", "1")))
		must(st.SetSendCompress("gzip"))
		must(st.SendHeader(metadata.Pairs("b", "2", "c-bin", "\x00")))
		h := ts.peer.WantHeaders("headers", 1)
		if h.Get("a") != "1" || h.Get("b") != "2" || h.Get("c-bin") != "AA" || h.Get("grpc-encoding") != "gzip" {
			t.Errorf("headers are %v", h)
		}
		mustNot(st.SendHeader(nil))
		mustNot(st.SetHeader(metadata.Pairs("a", "1")))
		mustNot(st.SetSendCompress("none"))
		must(st.SetTrailer(metadata.Pairs("d", "4")))
		must(st.SetTrailer(metadata.Pairs("d", "5")))
		st.WriteStatus(status.New(codes.NotFound, "100% gone\n"))
		h = ts.peer.WantTrailers("status", 1, codes.NotFound)
		if strings.Join(h.Values("d"), "|") != "4|5" || h.Get("grpc-message") != "100%25 gone%0A" {
			t.Errorf("trailers are %v", h)
		}
		ts.peer.WantReset("its client has not ended it", 1, http2.ErrCodeNo)
		st.WriteStatus(nil)
		st.Reply(octets(10))
		mustNot(st.Send(octets(10)))
		mustNot(st.SetTrailer(metadata.Pairs("d", "6")))
		ts.peer.WantIdle("nothing more is sent")
	})
}

// Metadata that gRPC does not allow are refused where they are given.
func TestAnswer_BadMetadata_IsRefused(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, _ := ts.open(1, "/s/Stream")
		for _, md := range []metadata.MD{{"": {"x"}}, {"a b": {"x"}}, {"key": {"\x00"}}, {"key": {"\n"}}} {
			for name, f := range map[string]func(metadata.MD) error{
				"SetHeader": st.SetHeader, "SendHeader": st.SendHeader, "SetTrailer": st.SetTrailer,
			} {
				if err := f(md); status.Code(err) != codes.Internal {
					t.Errorf("%s of %q gave %v", name, md, err)
				}
			}
		}
		st.WriteStatus(nil)
		ts.peer.WantTrailers("nothing of it is sent", 1, codes.OK)
	})
}

// "A server can send a complete response prior to the client sending an entire
// request [...] the server MAY request that the client abort transmission of a
// request without error by sending a RST_STREAM with an error code of NO_ERROR"
// https://www.rfc-editor.org/rfc/rfc9113#section-8.1
// Row A107: the reset follows the trailers, and only if the client has more to
// say.
func TestAnswer_BeforeTheRequestEnds_IsFollowedByNoError(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		early, _ := ts.open(1, "/s/Stream")
		early.Reply(text("done"))
		ts.peer.WantHeaders("the answer", 1)
		ts.peer.WantMessage("is complete", 1)
		ts.peer.WantTrailers("with its trailers", 1, codes.OK)
		ts.peer.WantReset("then the client need not go on", 1, http2.ErrCodeNo)

		late, _ := ts.open(3, "/s/Stream")
		ts.peer.WriteMessage(3, true, []byte("all"))
		wantMessage(t, late, "all")
		late.WriteStatus(nil)
		ts.peer.WantTrailers("an answer behind the request", 3, codes.OK)
		ts.peer.WantIdle("needs no reset")
	})
}

// A handler that returns without a status has failed; one that gave a status
// while messages wait for credit is heard to the end.
func TestHandler_Returns_EndsTheStream(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.handle(func(ServerStream) {})
		ts.peer.WriteRequest(1, "/s/Stream", nil, true)
		ts.peer.WantTrailers("a handler without a status", 1, codes.Internal)

		ts.handle(func(st ServerStream) {
			if err := st.Send(octets(195)); err != nil {
				t.Error(err)
			}
			st.WriteStatus(status.New(codes.NotFound, ""))
		})
		ts.peer.WriteRequest(3, "/s/Stream", nil, true)
		ts.peer.WantHeaders("an answer", 3)
		ts.peer.WantData("as far as the window goes", 3)
		ts.peer.WantIdle("the handler has returned")
		ts.peer.WriteWindowUpdate(3, 100)
		ts.peer.WantData("the rest", 3)
		ts.peer.WantTrailers("and the status", 3, codes.NotFound)
	}, window(100))
}

// A handler's context has ended when it has returned, and its stream is dead.
func TestHandler_Returned_ContextHasEnded(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		st, end := ts.open(1, "/s/Stream")
		ts.peer.WriteMessage(1, false, []byte("never taken"))
		synctest.Wait()
		end()
		<-st.Context().Done()
		if err := st.Context().Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("the context says %v", err)
		}
		if _, err := st.Recv(); err == nil {
			t.Error("Recv works after the handler has returned")
		}
		ts.peer.Ignore(http2.FrameHeaders, http2.FrameRSTStream)
	})
}

// Whoever keeps a ServerStream beyond its handler gets errors: what it says
// reaches no other call, even one for which the stream's memory serves again.
func TestUnary_KeptBeyondItsHandler_TouchesNobody(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		for id := uint32(1); id < 40; id += 4 {
			ts.handle(echoUnary)
			ts.peer.WriteRequest(id, "/u/Echo", []byte("a"), true, "key", "value")
			kept := <-ts.streams
			ts.peer.WantHeaders("an answer", id)
			ts.peer.WantMessage("with its message", id)
			ts.peer.WantTrailers("and its status", id, codes.OK)
			synctest.Wait()

			release := make(chan struct{})
			ts.handle(func(st ServerStream) { <-release; echoUnary(st) })
			ts.peer.WriteRequest(id+2, "/u/Echo", []byte("b"), true)
			now := <-ts.streams
			for name, err := range map[string]error{
				"SetHeader":       kept.SetHeader(metadata.Pairs("k", "v")),
				"SendHeader":      kept.SendHeader(metadata.Pairs("k", "v")),
				"SetTrailer":      kept.SetTrailer(metadata.Pairs("k", "v")),
				"SetSendCompress": kept.SetSendCompress("gzip"),
				"Send":            kept.Send(text("not mine")),
				"Recv":            second(kept.Recv()),
				"Request":         second(kept.Request()),
				"Context.Err":     kept.Context().Err(),
				"context.Cause":   context.Cause(kept.Context()),
			} {
				if err == nil {
					t.Errorf("%s works after the handler has returned", name)
				}
			}
			kept.WriteStatus(status.New(codes.Internal, "not mine"))
			if kept.Method() != "/u/Echo" || kept.Metadata().Get("key")[0] != "value" || now.Metadata().Get("key") != nil {
				t.Error("the requests are mixed up")
			}
			close(release)
			ts.peer.WantHeaders("the other call's answer", id+2)
			if got := string(ts.peer.WantMessage("with its own message", id+2)); got != "b" {
				t.Errorf("the other call got %q", got)
			}
			ts.peer.WantTrailers("and its own status", id+2, codes.OK)
		}
	})
}

func second[A, B any](_ A, b B) B { return b }

// A unary request is one message; anything else is told apart.
func TestRequest_NotOneMessage_IsAnError(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		for messages, want := range []error{io.EOF, nil, ErrManyMessages, ErrManyMessages} {
			id := uint32(2*messages + 1)
			ts.handle(func(st ServerStream) {
				m, err := st.Request()
				if !errors.Is(err, want) {
					t.Errorf("the error for %d messages is %v, want %v", messages, err, want)
				}
				m.Free()
				st.WriteStatus(nil)
			})
			ts.peer.WriteHeaders(id, false, good...)
			for range messages {
				ts.peer.WriteMessage(id, false, []byte("a message"))
			}
			ts.peer.WriteData(id, true, nil)
			<-ts.streams
			ts.peer.WantTrailers("an answer", id, codes.OK)
		}
	})
}

// A client that goes on and on is not waited for when its window is full: nobody
// reads before the end, which cannot come.
func TestRequest_ManyMessagesWithoutEnd_IsAnswered(t *testing.T) {
	cfg := ServerConfig{ConnConfig: ConnConfig{InitialWindowSize: 1000}}
	inServer(t, cfg, func(t *testing.T, ts *testServer) {
		ts.handle(func(st ServerStream) {
			m, err := st.Request()
			if !errors.Is(err, ErrManyMessages) {
				t.Errorf("Request gave %v", err)
			}
			m.Free()
			st.WriteStatus(status.New(codes.Unimplemented, "one is enough"))
		})
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.peer.WriteHeaders(1, false, good...)
		msg := h2peer.Message(make([]byte, 395))
		ts.peer.WriteData(1, false, msg)
		ts.peer.WriteData(1, false, msg)
		ts.peer.WriteData(1, false, msg[:200])
		ts.peer.WantIdle("it may end")
		ts.peer.WriteData(1, false, msg[200:])
		ts.peer.WantTrailers("an answer", 1, codes.Unimplemented)
		ts.peer.WantReset("and no more is read", 1, http2.ErrCodeNo)
		<-ts.streams
		ts.wantUnharmed(3)
	})
}

// Send and SendHeader of a stream that the client or its deadline has ended say
// so, whether the client had ended its request or not.
func TestSend_AfterTheEnd_GivesTheReason(t *testing.T) {
	for name, tt := range map[string]struct {
		halfClosed bool
		timeout    string
		want       codes.Code
	}{
		"RST_STREAM":                {want: codes.Canceled},
		"RST_STREAM, half-closed":   {halfClosed: true, want: codes.Canceled},
		"its deadline":              {timeout: "1S", want: codes.DeadlineExceeded},
		"its deadline, half-closed": {halfClosed: true, timeout: "1S", want: codes.DeadlineExceeded},
	} {
		for _, call := range []string{"Send", "SendHeader"} {
			t.Run(name+"/"+call, func(t *testing.T) {
				inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
					ts.peer.AnyOrder()
					over := make(chan struct{})
					ts.handle(func(ServerStream) { <-over })
					defer close(over)
					var fields []string
					if tt.timeout != "" {
						fields = []string{"grpc-timeout", tt.timeout}
					}
					ts.peer.WriteRequest(1, "/s/x", []byte("x"), tt.halfClosed, fields...)
					st := <-ts.streams
					wantMessage(t, st, "x")
					if tt.timeout == "" {
						ts.peer.WriteReset(1, http2.ErrCodeCancel)
						synctest.Wait()
					} else {
						simnet.Advance(2 * time.Second)
					}
					send := func() error { return st.Send(text("y")) }
					if call == "SendHeader" {
						send = func() error { return st.SendHeader(nil) }
					}
					if err := send(); status.Code(err) != tt.want {
						t.Errorf("%s gave %v, want %v", call, err, tt.want)
					}
				})
			})
		}
	}
}

// Recv, in a goroutine that its handler leaves behind, does not take the
// handler's return for the end of the client's messages.
func TestRecv_HandlerReturns_IsNoEOF(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.AnyOrder()
		got := make(chan error, 2)
		ts.handle(func(st ServerStream) {
			go func() {
				for range 2 {
					_, err := st.Recv()
					got <- err
				}
			}()
			synctest.Wait()
			st.WriteStatus(nil)
		})
		ts.peer.WriteRequest(1, "/s/x", nil, false)
		<-ts.streams
		for range 2 {
			if err := <-got; !errors.Is(err, errReturned) {
				t.Errorf("Recv gave %v, want %v", err, errReturned)
			}
		}
	})
}

// A handler may take the messages of a request that has more than one, whatever
// chunks they lie in: the first of a unary call's stays with its stream.
func TestRecv_UnaryRequestOfManyMessages_GivesAll(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.Ignore(http2.FrameWindowUpdate)
		for call, sizes := range [][]int{{10, 10}, {600, 600, 20}, {600, 5000, 600, 20_000}, {5000, 600, 600}, {0, 1019, 0}} {
			for _, free := range []bool{false, true} {
				id := uint32(4*call + 1)
				if free {
					id += 2
				}
				ts.handle(func(st ServerStream) {
					for i, size := range sizes {
						m, err := st.Recv()
						if err != nil || string(m.Data) != strings.Repeat(string(rune('a'+i)), size) {
							t.Errorf("call %d: message %d has %d octets, %v; want %d", call, i, len(m.Data), err, size)
						}
						if free {
							m.Free()
						}
					}
					if _, err := st.Recv(); err != io.EOF {
						t.Errorf("call %d: behind the last message comes %v", call, err)
					}
					st.WriteStatus(nil)
				})
				ts.peer.WriteHeaders(id, false, good...)
				for i, size := range sizes {
					ts.peer.WriteMessage(id, i == len(sizes)-1, []byte(strings.Repeat(string(rune('a'+i)), size)))
				}
				<-ts.streams
				ts.peer.WantTrailers("the end", id, codes.OK)
			}
		}
	})
}
