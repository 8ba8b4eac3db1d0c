package inproc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// seen is what can be seen of a call from both ends, in words.
type seen struct{ strings.Builder }

func (s *seen) say(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *seen) end(who string, err error) {
	st := status.Convert(err)
	s.say("%s: %v, %d details", who, st.Code(), len(st.Details()))
}

// plain is metadata of which fmt hides nothing.
func plain(md metadata.MD) map[string][]string { return md }

// cause says how a handler's context ended.
func (s *seen) cause(ctx context.Context) {
	<-ctx.Done()
	var e *transport.StreamError
	errors.As(context.Cause(ctx), &e)
	s.say("context: %v, cause %v by %v, deadline %t", ctx.Err(), e.GRPCStatus().Code(), e.By, errors.Is(context.Cause(ctx), context.DeadlineExceeded))
}

// byTheDeadline checks how a handler's context ended by its deadline. Over
// HTTP/2 the client's reset may be there before.
func (w *world) byTheDeadline(server string) {
	w.t.Helper()
	const want = "context: context deadline exceeded, cause DeadlineExceeded by local, deadline true"
	if w.front == nil && w.name != "http2" && !strings.Contains(server, want) {
		w.t.Errorf("got %q, want %q", server, want)
	}
}

// behaviours are what a program can see of a call. Over HTTP/2 and in-process it
// is the same, word for word, and behind net/http but for what is net/http's.
var behaviours = []struct {
	name string
	opts []any
	do   func(t *testing.T, w *world, s *seen)
	want string // of both

	octets bool   // it is about those of messages
	front  string // why it is not the same behind net/http, or empty
}{
	{name: "unary metadata", want: "x-answer", do: func(t *testing.T, w *world, s *seen) {
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			method, _ := grpc.Method(ctx)
			s.say("request %v of %s", plain(md), method)
			md.Set("k", "changed by the handler")
			s.end("SetHeader", grpc.SetHeader(ctx, metadata.Pairs("x-answer", "  spaces  ", "x-bin", "\x00\xff", "grpc-encoding", "reserved", ":path", "no")))
			s.end("SetTrailer", grpc.SetTrailer(ctx, metadata.Pairs("x-end", "1", "x-end", "2", "content-type", "reserved")))
			s.end("SendHeader", grpc.SendHeader(ctx, metadata.Pairs("x-more", "3")))
			s.end("SetHeader, late", grpc.SetHeader(ctx, metadata.Pairs("x-late", "4")))
			s.end("wrong", grpc.SetTrailer(ctx, metadata.Pairs("UPPER case", "5")))
			return in, nil
		}
		out := metadata.Pairs("k", "v", "k", " v2 ", "k-bin", "\x01,\x02", "te", "reserved", "grpc-timeout", "1S", ":authority", "reserved", "grpc-previous-rpc-attempts", "7")
		var header, trailer metadata.MD
		text, err := w.call(metadata.NewOutgoingContext(t.Context(), out), "hello", grpc.Header(&header), grpc.Trailer(&trailer))
		s.say("%q, caller's own %v", text, out.Get("k"))
		s.end("client", err)
		s.say("header %v, trailer %v", plain(header), plain(trailer))
	}},
	{name: "bad metadata", want: "Internal", do: func(t *testing.T, w *world, s *seen) {
		for _, md := range []metadata.MD{{"": {"v"}}, {"Upper": {"v"}}, {"k": {"\n"}}, {"k k": {"v"}}} {
			_, err := w.call(metadata.NewOutgoingContext(t.Context(), md), "")
			s.end("client", err)
		}
	}},
	{name: "header list too large", front: "limits of header lists are net/http's", opts: []any{weir.MaxHeaderListSize(2000), weir.WithMaxHeaderListSize(2000)}, want: "Internal", do: func(t *testing.T, w *world, s *seen) {
		_, err := w.call(t.Context(), "") // over HTTP/2 the limit is known from here on
		s.end("small", err)
		_, err = w.call(metadata.AppendToOutgoingContext(t.Context(), "k", strings.Repeat("v", 3000)), "")
		s.end("request", err)
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			return in, grpc.SetHeader(ctx, metadata.Pairs("k", strings.Repeat("v", 3000)))
		}
		_, err = w.call(t.Context(), "")
		s.end("header", err)
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("k", strings.Repeat("v", 3000)))
			return in, status.Error(codes.Aborted, strings.Repeat("m", 3000))
		}
		_, err = w.call(t.Context(), "")
		s.end("trailer", err)
	}},
	{name: "trailers only", front: "net/http adds content-length", want: "NotFound", do: func(t *testing.T, w *world, s *seen) {
		w.stream = func(ss grpc.ServerStream) error {
			ss.SetTrailer(metadata.Pairs("x-end", "1"))
			st, err := status.New(codes.NotFound, "nothing here: äöü").WithDetails(durationpb.New(time.Second))
			if err != nil {
				return err
			}
			return st.Err()
		}
		cs := w.open(t.Context())
		header, err := cs.Header()
		s.say("header %v, %v", plain(header), err)
		err = cs.RecvMsg(new(wrapperspb.BytesValue))
		s.end("client", err)
		s.say("%q, trailer %v", status.Convert(err).Message(), plain(cs.Trailer()))
	}},
	{name: "header metadata and a status", want: "x-answer", do: func(t *testing.T, w *world, s *seen) {
		w.stream = func(ss grpc.ServerStream) error {
			_ = ss.SetHeader(metadata.Pairs("x-answer", "1"))
			return status.Error(codes.Code(77), "a code that gRPC does not know")
		}
		cs := w.open(t.Context())
		header, err := cs.Header()
		s.say("header %v, %v", plain(header), err)
		s.end("client", cs.RecvMsg(new(wrapperspb.BytesValue)))
		s.say("trailer %v", plain(cs.Trailer()))
	}},
	{name: "server ends before the client", want: "EOF", do: func(t *testing.T, w *world, s *seen) {
		w.stream = func(ss grpc.ServerStream) error { return ss.SendMsg(wrapperspb.Bytes([]byte("only"))) }
		cs := w.open(t.Context())
		in := new(wrapperspb.BytesValue)
		s.end("first", cs.RecvMsg(in))
		s.say("%q", in.GetValue())
		s.say("then %v", cs.RecvMsg(in))
		s.say("send %v", cs.SendMsg(in))
		s.say("close %v", cs.CloseSend())
	}},
	{name: "messages and half-close", want: "\"b\"", do: func(t *testing.T, w *world, s *seen) {
		cs := w.open(t.Context())
		in := new(wrapperspb.BytesValue)
		for _, text := range []string{"a", "", "b"} {
			s.end("send", cs.SendMsg(wrapperspb.Bytes([]byte(text))))
			s.end("recv", cs.RecvMsg(in))
			s.say("%q", in.GetValue())
		}
		s.say("close %v, then %v, again %v", cs.CloseSend(), cs.RecvMsg(in), cs.RecvMsg(in))
	}},
	{name: "cancelled by the client", want: "Canceled by peer", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.stream = func(ss grpc.ServerStream) error {
			defer close(done)
			_ = ss.SendMsg(wrapperspb.Bytes(nil))
			server.cause(ss.Context())
			server.end("recv", ss.RecvMsg(new(wrapperspb.BytesValue)))
			server.end("send", ss.SendMsg(wrapperspb.Bytes(nil)))
			server.end("header", ss.SendHeader(nil))
			return status.Error(codes.Aborted, "nobody hears of it")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cs := w.open(ctx)
		_ = cs.RecvMsg(new(wrapperspb.BytesValue))
		cancel(errors.New("why"))
		err := cs.RecvMsg(new(wrapperspb.BytesValue))
		<-done
		s.WriteString(server.String())
		s.end("client", err)
		s.say("%s, send %v", status.Convert(err).Message(), cs.SendMsg(wrapperspb.Bytes(nil)))
	}},
	{name: "unary cancelled by the client", want: "Canceled", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done, begun := make(chan struct{}), make(chan struct{})
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			defer close(done)
			close(begun)
			server.cause(ctx)
			return in, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		_, err := w.call(ctx, "")
		<-done
		s.WriteString(server.String())
		s.end("client", err)
	}},
	{name: "deadline", want: "DeadlineExceeded", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			defer close(done)
			d, ok := ctx.Deadline()
			left := time.Until(d)
			server.say("deadline %t, %t", ok, left > 9*time.Second && left <= 10*time.Second)
			server.cause(ctx)
			return in, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := w.call(ctx, "")
		<-done
		w.byTheDeadline(server.String())
		s.end("client", err)
		s.say("after %v", time.Since(start).Round(time.Second))
	}},
	{name: "deadline of a stream", want: "DeadlineExceeded", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.stream = func(ss grpc.ServerStream) error {
			defer close(done)
			server.end("recv", ss.RecvMsg(new(wrapperspb.BytesValue)))
			server.cause(ss.Context())
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cs := w.open(ctx)
		s.end("client", cs.RecvMsg(new(wrapperspb.BytesValue)))
		<-done
		w.byTheDeadline(server.String())
	}},
	{name: "values of the caller's context stay", want: "<nil>", do: func(t *testing.T, w *world, s *seen) {
		type key struct{}
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			md, outgoing := metadata.FromOutgoingContext(ctx)
			s.say("%v %v %t", ctx.Value(key{}), md, outgoing)
			return in, nil
		}
		_, err := w.call(metadata.AppendToOutgoingContext(context.WithValue(t.Context(), key{}, "mine"), "a", "b"), "")
		s.end("client", err)
	}},
	{name: "the handler's context ends with it", want: "the handler has returned", do: func(t *testing.T, w *world, s *seen) {
		var kept context.Context
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			kept = ctx //nolint:fatcontext // to see its end
			s.say("%v", ctx.Err())
			return in, nil
		}
		_, err := w.call(t.Context(), "")
		s.end("client", err)
		synctest.Wait()
		<-kept.Done()
		s.say("%v: %v", kept.Err(), context.Cause(kept))
	}},
	{name: "message sizes", octets: true, opts: []any{weir.MaxRecvMsgSize(1000)}, want: "the server accepts 1000", do: func(t *testing.T, w *world, s *seen) {
		_, err := w.call(t.Context(), strings.Repeat("x", 2000))
		s.end("server's limit", err)
		s.say("%s", status.Convert(err).Message())
		_, err = w.call(t.Context(), strings.Repeat("x", 900), grpc.MaxCallRecvMsgSize(500))
		s.end("client's limit", err)
		s.say("%s", status.Convert(err).Message())
		_, err = w.call(t.Context(), strings.Repeat("x", 900), grpc.MaxCallSendMsgSize(500))
		s.end("client's limit to send", err)
		cs := w.open(t.Context(), grpc.MaxCallRecvMsgSize(500))
		s.end("send", cs.SendMsg(wrapperspb.Bytes(make([]byte, 900))))
		s.end("client's limit, stream", cs.RecvMsg(new(wrapperspb.BytesValue)))
		cs = w.open(t.Context())
		s.end("send", cs.SendMsg(wrapperspb.Bytes(make([]byte, 2000))))
		s.end("server's limit, stream", cs.RecvMsg(new(wrapperspb.BytesValue)))
	}},
	{name: "messages that are encoded once", want: "as it was", do: func(t *testing.T, w *world, s *seen) {
		for _, n := range []int{0, 300, 40_000} {
			e := weir.NewEncoded(wrapperspb.Bytes(bytes.Repeat([]byte("e"), n)))
			cs, out := w.open(t.Context()), new(wrapperspb.BytesValue)
			for range 4 {
				err := w.client.Invoke(t.Context(), unaryMethod, e, out)
				if err == nil && len(out.GetValue()) == n {
					err = errors.Join(cs.SendMsg(e), cs.RecvMsg(out))
				}
				_, other := w.call(t.Context(), strings.Repeat("x", n)) // takes memory that is free
				s.end("client", errors.Join(err, other))
				if string(out.GetValue()) == strings.Repeat("e", n) {
					s.say("%d octets as it was", n)
				}
			}
		}
	}},
	{name: "methods that are not there", front: "net/http refuses a :path that is none", want: "Unimplemented", do: func(t *testing.T, w *world, s *seen) {
		for _, m := range []string{"/test.Both/Other", "/other/Unary", "no slash"} {
			err := w.client.Invoke(t.Context(), m, wrapperspb.Bytes(nil), new(wrapperspb.BytesValue))
			s.end(m, err)
			s.say("%s", status.Convert(err).Message())
		}
	}},
	{name: "cardinality", want: "Unimplemented", do: func(t *testing.T, w *world, s *seen) {
		invoke := func(name string) {
			err := w.client.Invoke(t.Context(), streamMethod, wrapperspb.Bytes(nil), new(wrapperspb.BytesValue))
			s.end(name, err)
			s.say("%s", status.Convert(err).Message())
		}
		w.stream = func(grpc.ServerStream) error { return nil }
		invoke("no answer")
		w.stream = func(ss grpc.ServerStream) error {
			_ = ss.SendMsg(wrapperspb.Bytes(nil))
			return ss.SendMsg(wrapperspb.Bytes(nil))
		}
		invoke("two answers")
		for n := range 3 {
			cs, err := w.client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, unaryMethod)
			s.end("open", err)
			for range n {
				_ = cs.SendMsg(wrapperspb.Bytes(nil))
			}
			_ = cs.CloseSend()
			err = cs.RecvMsg(new(wrapperspb.BytesValue))
			s.end(fmt.Sprint(n, " requests"), err)
			s.say("%s", status.Convert(err).Message())
		}
	}},
	{name: "a handler that leaves its goroutine", front: "net/http resets the stream", want: "Internal", do: func(t *testing.T, w *world, s *seen) {
		w.stream = func(grpc.ServerStream) error { goexit(); return nil }
		cs := w.open(t.Context())
		err := cs.RecvMsg(new(wrapperspb.BytesValue))
		s.end("client", err)
		s.say("%s", status.Convert(err).Message())
	}},
	{name: "the server stops", want: "Unavailable", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.stream = func(ss grpc.ServerStream) error {
			defer close(done)
			_ = ss.SendMsg(wrapperspb.Bytes([]byte("before")))
			server.cause(ss.Context())
			return nil
		}
		cs := w.open(t.Context())
		_, _ = cs.Header()
		synctest.Wait()
		w.srv.Stop()
		<-done
		in := new(wrapperspb.BytesValue)
		s.end("client", cs.RecvMsg(in))
		s.say("%q", in.GetValue())
		s.end("client", cs.RecvMsg(in))
		s.WriteString(server.String())
		_, err := w.call(t.Context(), "")
		s.end("later", err)
	}},
	{name: "the client closes", want: "Unavailable", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.stream = func(ss grpc.ServerStream) error {
			defer close(done)
			_ = ss.SendHeader(nil)
			server.cause(ss.Context())
			return nil
		}
		cs := w.open(t.Context())
		_, _ = cs.Header()
		_ = w.client.Close()
		s.end("client", cs.RecvMsg(new(wrapperspb.BytesValue)))
		<-done
		_, err := w.call(t.Context(), "")
		s.end("later", err)
	}},
	{name: "the server drains", want: "OK", do: func(t *testing.T, w *world, s *seen) {
		cs := w.open(t.Context())
		_ = cs.SendMsg(wrapperspb.Bytes([]byte("a")))
		_ = cs.RecvMsg(new(wrapperspb.BytesValue))
		over := make(chan struct{})
		go func() { defer close(over); w.srv.GracefulStop() }()
		synctest.Wait()
		in := new(wrapperspb.BytesValue)
		s.end("goes on", cs.SendMsg(wrapperspb.Bytes([]byte("b"))))
		s.end("goes on", cs.RecvMsg(in))
		s.say("%q", in.GetValue())
		_, err := w.call(t.Context(), "")
		s.end("a new call", err)
		select {
		case <-over:
			s.say("GracefulStop did not wait")
		default:
		}
		_ = cs.CloseSend()
		s.say("end %v", cs.RecvMsg(in))
		<-over
	}},
	{name: "peers", want: "true", do: func(t *testing.T, w *world, s *seen) {
		w.unary = func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			p, ok := peer.FromContext(ctx)
			s.say("%t %t", ok, p.Addr != nil && p.LocalAddr != nil)
			return in, nil
		}
		var p peer.Peer
		_, err := w.call(t.Context(), "", grpc.Peer(&p))
		s.end("client", err)
		s.say("%t", p.Addr != nil)
	}},
	{name: "a stream without a receiver is cancelled", want: "Canceled", do: func(t *testing.T, w *world, s *seen) {
		var server seen
		done := make(chan struct{})
		w.stream = func(ss grpc.ServerStream) error {
			defer close(done)
			var err error
			for err == nil {
				err = ss.SendMsg(wrapperspb.Bytes(make([]byte, 10000)))
			}
			server.end("server", err)
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.open(ctx)
		synctest.Wait()
		cancel()
		<-done
		s.WriteString(server.String())
	}},
}

// Feature: in-process transport.
func TestBehavesAsOverASocket(t *testing.T) {
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			words := make(map[string]string)
			over(t, []string{"http2", "inproc", "hand over", "net/http"}, func(t *testing.T, w *world) {
				var s seen
				b.do(t, w, &s)
				words[w.name] = s.String()
			}, b.opts)
			if words["http2"] != words["inproc"] {
				t.Errorf("over HTTP/2:\n%s\nin-process:\n%s", words["http2"], words["inproc"])
			}
			if words["inproc"] != words["hand over"] && !b.octets {
				t.Errorf("with octets:\n%s\nwith messages handed over:\n%s", words["inproc"], words["hand over"])
			}
			if words["http2"] != words["net/http"] && b.front == "" {
				t.Errorf("over a Server's own HTTP/2:\n%s\nover net/http's:\n%s", words["http2"], words["net/http"])
			}
			if !strings.Contains(words["inproc"], b.want) {
				t.Errorf("%q is not in\n%s", b.want, words["inproc"])
			}
		})
	}
}
