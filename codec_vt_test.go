package weir_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// vtPayload is a message with the methods that vtprotobuf generates. As those
// do, UnmarshalVT adds to what is there.
type vtPayload struct {
	testpb.Payload
	wrong int // SizeVT says so many octets too many
	fails error
}

var vtUsed atomic.Int32

func (m *vtPayload) SizeVT() int { return proto.Size(&m.Payload) + m.wrong }

func (m *vtPayload) MarshalToSizedBufferVT(b []byte) (int, error) {
	vtUsed.Add(1)
	p, err := proto.Marshal(&m.Payload)
	copy(b[len(b)-len(p):], p)
	return len(p), errors.Join(err, m.fails)
}

func (m *vtPayload) UnmarshalVT(b []byte) error {
	vtUsed.Add(1)
	err := proto.UnmarshalOptions{Merge: true}.Unmarshal(slices.Clone(b), &m.Payload)
	return errors.Join(err, m.fails)
}

var vtDesc = grpc.ServiceDesc{
	ServiceName: "weir.VT",
	Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(vtPayload)
			return in, decode(in)
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "Stream", ClientStreams: true, ServerStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := new(vtPayload)
				if err := s.RecvMsg(in); err != nil {
					return nil // the client has said all
				}
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
		},
	}},
}

// Feature: vtprotobuf
//
// Clients and servers that are told so use the methods of vtprotobuf, four times
// a message there and back; the others do not, and understand each other.
func TestVTProto(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server bool
		opts           []grpc.CallOption
		want           int32 // uses in a call
	}{
		{"neither", false, false, nil, 0},
		{"client", true, false, nil, 2},
		{"server", false, true, nil, 2},
		{"both", true, true, nil, 4},
		{"both, by content-subtype", true, true, []grpc.CallOption{grpc.CallContentSubtype("proto")}, 4},
		{"both, another codec", true, true, []grpc.CallOption{grpc.CallContentSubtype("counted")}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dial []weir.DialOption
			var serve []weir.ServerOption
			if tt.client {
				dial = append(dial, weir.WithVTProto())
			}
			if tt.server {
				serve = append(serve, weir.VTProto())
			}
			srv, lis := weir.NewServer(serve...), listen(t)
			srv.RegisterService(&vtDesc, nil)
			background(t, srv, lis)
			c := newWeirClient(t, lis.Addr().String(), dial...)
			s, err := c.NewStream(t.Context(), &vtDesc.Streams[0], "/weir.VT/Stream", tt.opts...)
			if err != nil {
				t.Fatal(err)
			}
			// What the message had before is gone, as with proto.Unmarshal.
			out := &vtPayload{Payload: testpb.Payload{Type: 7, Body: []byte("before")}}
			for _, body := range []string{"some octets", ""} {
				in := &vtPayload{Payload: testpb.Payload{Body: []byte(body)}}
				for kind, call := range map[string]func() error{
					"a unary call": func() error { return c.Invoke(t.Context(), "/weir.VT/Echo", in, out, tt.opts...) },
					"a stream":     func() error { return errors.Join(s.SendMsg(in), s.RecvMsg(out)) },
				} {
					vtUsed.Store(0)
					if err := call(); err != nil || string(out.Body) != body || out.Type != 0 {
						t.Errorf("%s answers %q, %v", kind, &out.Payload, err)
					}
					if n := vtUsed.Load(); n != tt.want {
						t.Errorf("%s of %q used the methods %d times, want %d", kind, body, n, tt.want)
					}
				}
			}
			// A message without them is sent as ever.
			if err := c.Invoke(t.Context(), "/weir.VT/Echo", &testpb.Payload{Body: []byte("plain")}, &out.Payload, tt.opts...); err != nil || string(out.Body) != "plain" {
				t.Errorf("a plain message: %q, %v", out.Body, err)
			}
		})
	}
}

// Methods that fail, or do not do what they said, fail the call.
func TestVTProtoFaults(t *testing.T) {
	srv, lis := weir.NewServer(), listen(t)
	srv.RegisterService(&vtDesc, nil)
	background(t, srv, lis)
	c := newWeirClient(t, lis.Addr().String(), weir.WithVTProto())
	oops := errors.New("its own words")
	invoke := func(in, out any) error { return c.Invoke(t.Context(), "/weir.VT/Echo", in, out) }
	wantText(t, invoke(&vtPayload{fails: oops}, new(vtPayload)), codes.Internal, "marshal", oops.Error())
	wantText(t, invoke(&vtPayload{wrong: 3}, new(vtPayload)), codes.Internal, "SizeVT", "3")
	wantText(t, invoke(&vtPayload{}, &vtPayload{fails: oops}), codes.Internal, "unmarshal", oops.Error())
}
