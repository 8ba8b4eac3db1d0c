package weir_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Options of users that embed one of grpc-go's, as a mark for interceptors.
type (
	markedHeader        struct{ grpc.HeaderCallOption }
	markedHeaderPointer struct{ *grpc.HeaderCallOption }
	markedAny           struct {
		mark string
		grpc.CallOption
	}
	markedTwice   struct{ markedHeader }
	markedPointer struct{ *markedHeader }
)

// Options count by value, by pointer and embedded, as they do in grpc-go.
func TestOptionForms(t *testing.T) {
	forms := map[string]func(md *metadata.MD) grpc.CallOption{
		"value":         func(md *metadata.MD) grpc.CallOption { return grpc.HeaderCallOption{HeaderAddr: md} },
		"pointer":       func(md *metadata.MD) grpc.CallOption { return &grpc.HeaderCallOption{HeaderAddr: md} },
		"embedded":      func(md *metadata.MD) grpc.CallOption { return markedHeader{grpc.HeaderCallOption{HeaderAddr: md}} },
		"pointer to it": func(md *metadata.MD) grpc.CallOption { return &markedHeader{grpc.HeaderCallOption{HeaderAddr: md}} },
		"embedded pointer": func(md *metadata.MD) grpc.CallOption {
			return markedHeaderPointer{&grpc.HeaderCallOption{HeaderAddr: md}}
		},
		"embedded interface": func(md *metadata.MD) grpc.CallOption { return markedAny{"m", grpc.Header(md)} },
		"embedded twice": func(md *metadata.MD) grpc.CallOption {
			return markedTwice{markedHeader{grpc.HeaderCallOption{HeaderAddr: md}}}
		},
		"pointer, embedded": func(md *metadata.MD) grpc.CallOption {
			return markedPointer{&markedHeader{grpc.HeaderCallOption{HeaderAddr: md}}}
		},
		"all of it": func(md *metadata.MD) grpc.CallOption { return &markedAny{"m", markedAny{"n", grpc.Header(md)}} },
	}
	testPairings(t, echo{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", "1")
		for name, form := range forms {
			var md metadata.MD
			if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, form(&md)); err != nil || len(md.Get("x-echo")) != 1 {
				t.Errorf("%s: the header is %v, %v", name, md, err)
			}
		}
	})
}

// oldCodec is a grpc.Codec, and an encoding.Codec.
type oldCodec struct {
	name string
	used *atomic.Int32
}

func (c oldCodec) String() string { return c.name }
func (c oldCodec) Name() string   { return c.name }

func (c oldCodec) Marshal(v any) ([]byte, error) {
	c.used.Add(1)
	return proto.Marshal(v.(proto.Message))
}

func (c oldCodec) Unmarshal(data []byte, v any) error {
	c.used.Add(1)
	return proto.Unmarshal(data, v.(proto.Message))
}

// typist tells the content-type that it was sent.
type typist struct{ echo }

func (typist) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: fmt.Sprint(metadata.ValueFromIncomingContext(ctx, "content-type"))}, nil
}

// The codec that is set last is used. Its name is the content-subtype, unless
// the call sets one or it is a codec of the oldest kind.
func TestForcedCodecs(t *testing.T) {
	var used, other atomic.Int32
	custom := grpc.CustomCodecCallOption{Codec: oldCodec{"Odd", &used}}
	tests := []struct {
		name string
		opts []grpc.CallOption
		want string
	}{
		{"CallCustomCodec", []grpc.CallOption{custom}, "[application/grpc]"},
		{"by pointer", []grpc.CallOption{&custom}, "[application/grpc]"},
		{"embedded", []grpc.CallOption{markedAny{"m", custom}}, "[application/grpc]"},
		{"with a subtype", []grpc.CallOption{custom, grpc.CallContentSubtype("Proto")}, "[application/grpc+proto]"},
		{"after ForceCodec", []grpc.CallOption{grpc.ForceCodec(oldCodec{"proto", &other}), custom}, "[application/grpc]"},
		{"before ForceCodec", []grpc.CallOption{grpc.CustomCodecCallOption{Codec: oldCodec{"Odd", &other}}, grpc.ForceCodec(oldCodec{"PROTO", &used})}, "[application/grpc+proto]"},
		{"ForceCodec twice", []grpc.CallOption{grpc.ForceCodec(oldCodec{"json", &other}), grpc.ForceCodec(oldCodec{"proto", &used})}, "[application/grpc+proto]"},
		{"subtype, ForceCodec", []grpc.CallOption{grpc.CallContentSubtype("proto"), grpc.ForceCodec(oldCodec{"json", &used})}, "[application/grpc+proto]"},
	}
	testPairings(t, typist{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for _, tt := range tests {
			used.Store(0)
			out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, tt.opts...)
			if err != nil || out.GetUsername() != tt.want || used.Load() != 2 || other.Load() != 0 {
				t.Errorf("%s: the content-type is %s, want %s; the codec was used %d times and the other one %d; %v",
					tt.name, out.GetUsername(), tt.want, used.Load(), other.Load(), err)
			}
		}
	})
}

// renamed is gzip by another name.
type renamed struct{}

func (renamed) Name() string { return "renamed-gzip" }

func (renamed) Compress(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
func (renamed) Decompress(r io.Reader) (io.Reader, error)    { return gzip.NewReader(r) }

func init() { encoding.RegisterCompressor(renamed{}) }

// experimental.AcceptCompressors refuses what it does not list, in a unary call
// and in a stream. The servers answer with the compressor of the request.
func TestAcceptCompressors(t *testing.T) {
	tests := []struct {
		name string
		use  string
		opts []grpc.CallOption
		want codes.Code
	}{
		{"listed", "gzip", []grpc.CallOption{experimental.AcceptCompressors("gzip")}, codes.OK},
		{"listed among others", "gzip", []grpc.CallOption{experimental.AcceptCompressors("renamed-gzip", " gzip ", "gzip")}, codes.OK},
		{"not listed", "gzip", []grpc.CallOption{experimental.AcceptCompressors("renamed-gzip")}, codes.Internal},
		{"not listed, embedded", "gzip", []grpc.CallOption{markedAny{"m", experimental.AcceptCompressors("renamed-gzip")}}, codes.Internal},
		{"not listed, and not compressed", "identity", []grpc.CallOption{experimental.AcceptCompressors("renamed-gzip")}, codes.OK},
		{"no names", "gzip", []grpc.CallOption{experimental.AcceptCompressors()}, codes.OK},
		{"identity", "gzip", []grpc.CallOption{experimental.AcceptCompressors("identity")}, codes.OK},
		{"the last one counts", "gzip", []grpc.CallOption{experimental.AcceptCompressors("renamed-gzip"), experimental.AcceptCompressors("gzip")}, codes.OK},
		{"unknown", "gzip", []grpc.CallOption{experimental.AcceptCompressors("gzip", "unknown")}, codes.InvalidArgument},
	}
	h := newStreamer()
	for _, p := range pairings {
		if !p.weirClient {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			c, _ := p.start(t, h)
			for _, tt := range tests {
				opts := append(slices.Clip(tt.opts), grpc.UseCompressor(tt.use))
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: 100}, opts...); status.Code(err) != tt.want {
					t.Errorf("%s: a call gives %v, want %v", tt.name, err, tt.want)
				}
				if err := ping(t.Context(), c, opts...); status.Code(err) != tt.want {
					t.Errorf("%s: a stream gives %v, want %v", tt.name, err, tt.want)
				}
			}
		})
	}
}

// A call that its options do not let begin ends all the same, once.
func TestOnFinishOfRefusedCall(t *testing.T) {
	refused := map[string]grpc.CallOption{
		"compressor":        grpc.UseCompressor("unknown"),
		"content-subtype":   grpc.CallContentSubtype("unknown"),
		"AcceptCompressors": experimental.AcceptCompressors("unknown"),
		"credentials":       grpc.PerRPCCredentials(constant{secure: true}),
		"size":              grpc.MaxCallSendMsgSize(0),
	}
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for name, o := range refused {
			var before, after []error
			note := func(errs *[]error) grpc.CallOption {
				return grpc.OnFinish(func(err error) { *errs = append(*errs, err) })
			}
			_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 1}, note(&before), o, note(&after))
			if err == nil || len(before) != 1 || len(after) != 1 || status.Code(before[0]) != status.Code(err) {
				t.Errorf("%s: a call gives %v, and OnFinish was told %v and %v", name, err, before, after)
			}
			before, after = nil, nil
			err = ping(ctx, c, note(&before), o, note(&after))
			if err == nil || len(before) != 1 || len(after) != 1 || status.Code(before[0]) != status.Code(err) {
				t.Errorf("%s: a stream gives %v, and OnFinish was told %v and %v", name, err, before, after)
			}
		}
	})
}

// ping asks for one message on a stream.
func ping(ctx context.Context, c testpb.TestServiceClient, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.FullDuplexCall(ctx, opts...)
	if err != nil {
		return err
	}
	if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 100}}}); err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}
