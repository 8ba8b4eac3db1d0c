package weir_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

var bidi = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// mirrored sends back what comes, from a service that nobody has registered.
func mirrored(srv any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	fromContext, _ := grpc.Method(ss.Context())
	p, ok := peer.FromContext(ss.Context())
	if srv != nil || method != fromContext || !ok || p.Addr == nil {
		return status.Errorf(codes.Internal, "the handler sees %v, %q, %q, %v", srv, method, fromContext, p)
	}
	if err := ss.SetHeader(metadata.Pairs("x-method", method)); err != nil {
		return err
	}
	for {
		in := new(testpb.SimpleRequest)
		if err := ss.RecvMsg(in); err == io.EOF {
			ss.SetTrailer(metadata.Pairs("x-end", "yes"))
			return nil
		} else if err != nil {
			return err
		}
		if st := in.GetResponseStatus(); st != nil {
			return status.Error(codes.Code(st.GetCode()), st.GetMessage())
		}
		if err := ss.SendMsg(&testpb.SimpleResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// UnknownServiceHandler gets every call of a service or a method that is not
// registered, of whatever kind, through the stream interceptors. Those of
// registered methods go their own way.
func TestUnknownServiceHandler(t *testing.T) {
	seen := make(chan grpc.StreamServerInfo, 16)
	is := interceptors{
		fallback: mirrored,
		unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			seen <- grpc.StreamServerInfo{FullMethod: "unary"}
			return handler(ctx, req)
		},
		stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			seen <- *info
			return handler(srv, ss)
		},
	}
	is.test(t, echo{}, func(ctx context.Context, t *testing.T, c anyClient) {
		wantSeen := func(want grpc.StreamServerInfo) {
			t.Helper()
			if got := <-seen; got != want {
				t.Errorf("the interceptor saw %+v, want %+v", got, want)
			}
		}
		for _, method := range []string{"/no.Service/Some", "/grpc.testing.TestService/Nope", "/grpc.testing.TestService/", "/a/b/c"} {
			info := grpc.StreamServerInfo{FullMethod: method, IsClientStream: true, IsServerStream: true}
			in := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(method)}}
			out := new(testpb.SimpleResponse)
			var header metadata.MD
			if err := c.Invoke(ctx, method, in, out, grpc.Header(&header)); err != nil || string(out.GetPayload().GetBody()) != method {
				t.Errorf("unary %s: %v, %v", method, out, err)
			}
			if got := header.Get("x-method"); len(got) != 1 || got[0] != method {
				t.Errorf("%s: the handler's method is %q", method, got)
			}
			wantSeen(info)
			err := c.Invoke(ctx, method, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 9, Message: "not now"}}, out)
			if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "not now" {
				t.Errorf("unary %s: %v, want FAILED_PRECONDITION", method, err)
			}
			wantSeen(info)

			s, err := c.NewStream(ctx, bidi, method)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := s.SendMsg(in); err != nil {
					t.Fatal(err)
				}
				if err := s.RecvMsg(out); err != nil || string(out.GetPayload().GetBody()) != method {
					t.Errorf("stream %s: %v, %v", method, out, err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := s.RecvMsg(out); err != io.EOF || len(s.Trailer().Get("x-end")) != 1 {
				t.Errorf("stream %s: the end is %v, the trailer %v", method, err, s.Trailer())
			}
			wantSeen(info)
		}
		if _, err := testpb.NewTestServiceClient(c).EmptyCall(ctx, &testpb.Empty{}); err != nil {
			t.Error(err)
		}
		wantSeen(grpc.StreamServerInfo{FullMethod: "unary"})
		for _, malformed := range []string{"/", "/noslash"} {
			if err := c.Invoke(ctx, malformed, &testpb.Empty{}, &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("%q: %v, want UNIMPLEMENTED", malformed, err)
			}
		}
		if len(seen) != 0 {
			t.Errorf("the interceptor saw %+v", <-seen)
		}
	})
}

// Without UnknownServiceHandler neither an interceptor nor a handler hears of
// what is not registered.
func TestUnknownWithoutHandler(t *testing.T) {
	is := interceptors{
		unary: func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.Aborted, "seen")
		},
		stream: func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			return status.Error(codes.Aborted, "seen")
		},
	}
	is.test(t, echo{}, func(ctx context.Context, t *testing.T, c anyClient) {
		for _, method := range []string{"/no.Service/Some", "/grpc.testing.TestService/Nope"} {
			if err := c.Invoke(ctx, method, &testpb.Empty{}, &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("unary %s: %v, want UNIMPLEMENTED", method, err)
			}
			s, err := c.NewStream(ctx, bidi, method)
			if err == nil {
				err = s.RecvMsg(&testpb.Empty{})
			}
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("stream %s: %v, want UNIMPLEMENTED", method, err)
			}
		}
	})
}
