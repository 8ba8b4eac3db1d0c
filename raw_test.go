package weir_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// rawMirror sends back what comes, and tells the content-type in the headers.
func rawMirror(_ any, ss grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(ss.Context())
	if err := ss.SetHeader(metadata.Pairs("x-type", strings.Join(md.Get("content-type"), ","))); err != nil {
		return err
	}
	var m weir.Raw
	defer m.Free()
	for {
		if err := ss.RecvMsg(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(&m); err != nil {
			return err
		}
	}
}

// invokeRaw makes a unary call with p.
func invokeRaw(ctx context.Context, c anyClient, p []byte, opts ...grpc.CallOption) (string, error) {
	in, out := weir.NewRaw(p), new(weir.Raw)
	defer in.Free()
	defer out.Free()
	err := c.Invoke(ctx, "/a.Service/Method", in, out, opts...)
	return string(out.Bytes()), err
}

// rawServer has nothing but rawMirror.
func rawServer(t *testing.T, opts ...weir.ServerOption) connector {
	t.Helper()
	srv, lis := weir.NewServer(append(opts, weir.UnknownServiceHandler(rawMirror))...), listen(t)
	background(t, srv, lis)
	return clients["weir"](t, lis.Addr().String())
}

// Feature: Unknown service handler / proxying
//
// Octets that are no message of any kind pass through clients and servers as
// they are, compressed or not, with a codec that is registered and without.
func TestRaw(t *testing.T) {
	c := rawServer(t)
	big := bytes.Repeat([]byte("no protobuf message \xff"), 20_000)
	for _, tt := range []struct {
		name string
		want string // content-type
		opts []grpc.CallOption
	}{
		{"plain", "application/grpc", nil},
		{"gzip", "application/grpc", []grpc.CallOption{grpc.UseCompressor("gzip")}},
		{"raw codec", "application/grpc+proto", []grpc.CallOption{grpc.ForceCodecV2(weir.RawCodec{})}},
		{"no codec", "application/grpc+nobody-has-it", []grpc.CallOption{grpc.ForceCodecV2(weir.RawCodec{}), grpc.CallContentSubtype("nobody-has-it")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header metadata.MD
			for _, p := range [][]byte{nil, {0xff}, big} {
				in, out := weir.NewRaw(p), weir.NewRaw([]byte("before"))
				if err := c.Invoke(t.Context(), "/a.Service/Method", in, out, append(tt.opts, grpc.Header(&header))...); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), p) {
					t.Errorf("unary: %d octets came back of %d, or other ones", out.Len(), len(p))
				}
				if !bytes.Equal(in.Bytes(), p) {
					t.Errorf("Invoke left %d octets of %d", in.Len(), len(p))
				}
				out.Free()
				in.Free()
			}
			if got := header.Get("x-type"); len(got) != 1 || got[0] != tt.want {
				t.Errorf("the server sees the content-type %q, want %q", got, tt.want)
			}
			s, err := c.NewStream(t.Context(), bidi, "/a.Service/Method", tt.opts...)
			if err != nil {
				t.Fatal(err)
			}
			in, out := weir.NewRaw(big), new(weir.Raw)
			for range 3 {
				if err := s.SendMsg(in); err != nil {
					t.Fatal(err)
				}
				if in.Len() != 0 {
					t.Errorf("SendMsg left %d octets", in.Len())
				}
				if err := s.RecvMsg(out); err != nil || !bytes.Equal(out.Bytes(), big) {
					t.Fatalf("stream: %d octets came back of %d, or other ones: %v", out.Len(), len(big), err)
				}
				in, out = out, in
			}
			in.Free()
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := s.RecvMsg(out); err != io.EOF {
				t.Errorf("the end: %v", err)
			}
		})
	}
}

// Invoke keeps the octets, however the call is made: it may be made again.
func TestRaw_InvokeKeepsIt(t *testing.T) {
	srv, lis := weir.NewServer(weir.UnknownServiceHandler(rawMirror)), listen(t)
	background(t, srv, lis)
	r := manual.NewBuilderWithScheme("chosen")
	r.InitialState(weir.SetConfigSelector(resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String()}}}, choosing(func(_ weir.RPCInfo, config *weir.RPCConfig) {
		config.Interceptor = func(ctx context.Context, open func(context.Context, ...grpc.CallOption) (grpc.ClientStream, error), opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(ctx, opts...)
		}
	})))
	address := "passthrough:///" + lis.Addr().String()
	for name, c := range map[string]*weir.Client{
		"plain":                             newWeirClient(t, address),
		"with a retry policy":               newWeirClient(t, address, weir.WithDefaultServiceConfig(methodConfig(retryPolicy))),
		"hedged":                            newWeirClient(t, address, weir.WithDefaultServiceConfig(methodConfig(hedgingPolicy))),
		"by a ConfigSelector's Interceptor": newWeirClient(t, "chosen:///it", weir.WithResolvers(r)),
	} {
		in, out := weir.NewRaw([]byte("octets")), new(weir.Raw)
		for range 2 {
			if err := c.Invoke(t.Context(), "/a.Service/Method", in, out); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if string(out.Bytes()) != "octets" || string(in.Bytes()) != "octets" {
				t.Errorf("%s: %q came back, and Invoke left %q", name, out.Bytes(), in.Bytes())
			}
		}
		in.Free()
		out.Free()
	}
}

// A Raw that was not sent keeps its octets, also where the call is hedged. Else
// SendMsgContext gives them away.
func TestRaw_NotSent(t *testing.T) {
	hedgedStream(t, func(t *testing.T, s duplex, p *h2peer.Peer) {
		p.WantHeaders("the first attempt", 1)
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.WantSettingsAck("for the windows")
		for _, want := range []bool{true, true, false} { // as much as the buffer takes
			r := weir.NewRaw(make([]byte, 100<<10))
			left := r.Len()
			if want {
				left = 0
			}
			if sent, err := weir.TrySend(s, weir.Uncompressed(r)); sent != want || err != nil || r.Len() != left {
				t.Errorf("TrySend gives %v, %v and leaves %d octets, want %v and %d", sent, err, r.Len(), want, left)
			}
			r.Free()
		}
	})
}

// A limit counts for a Raw as for any message, whether it comes compressed or
// not.
func TestRaw_Limits(t *testing.T) {
	c := rawServer(t, weir.MaxRecvMsgSize(1000))
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		for n, want := range map[int]codes.Code{1000: codes.OK, 1001: codes.ResourceExhausted} {
			if _, err := invokeRaw(t.Context(), c, make([]byte, n), opts...); status.Code(err) != want {
				t.Errorf("%d octets: %v, want %v", n, err, want)
			}
		}
	}
	if _, err := invokeRaw(t.Context(), c, make([]byte, 9), grpc.MaxCallSendMsgSize(8)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("beyond MaxCallSendMsgSize: %v", err)
	}
}

// A handler of a proxy that does not speak the content-subtype has messages that
// are Raw and no others.
func TestRawCodec_TakesNothingElse(t *testing.T) {
	srv, lis := weir.NewServer(weir.UnknownServiceHandler(mirrored)), listen(t)
	background(t, srv, lis)
	c := clients["weir"](t, lis.Addr().String())
	_, err := invokeRaw(t.Context(), c, nil, grpc.ForceCodecV2(weir.RawCodec{}), grpc.CallContentSubtype("nobody-has-it"))
	if status.Code(err) != codes.Internal || !strings.Contains(status.Convert(err).Message(), "is not a *weir.Raw") {
		t.Errorf("%v, want INTERNAL that names weir.Raw", err)
	}
	if _, err := (weir.RawCodec{}).Marshal("text"); err == nil {
		t.Error("RawCodec marshals a string")
	}
}

// RawCodec works under grpc-go as well.
func TestRawCodec_WithGRPCGo(t *testing.T) {
	srv := grpc.NewServer(grpc.ForceServerCodecV2(weir.RawCodec{}), grpc.UnknownServiceHandler(rawMirror))
	lis := listen(t)
	background(t, srv, lis)
	c := clients["grpc-go"](t, lis.Addr().String())
	if got, err := invokeRaw(t.Context(), c, []byte("\xffoctets"), grpc.ForceCodecV2(weir.RawCodec{})); err != nil || got != "\xffoctets" {
		t.Errorf("%q, %v", got, err)
	}
}

// octetCodec is a codec of both kinds for *string.
type octetCodec struct{ fault error }

func (c octetCodec) Marshal(v any) ([]byte, error) { return []byte(*v.(*string)), c.fault }

func (c octetCodec) Unmarshal(data []byte, v any) error {
	*v.(*string) = string(data)
	return c.fault
}

func (octetCodec) Name() string { return "octets" }

type octetCodecV2 struct{ octetCodec }

func (c octetCodecV2) Marshal(v any) (mem.BufferSlice, error) {
	b, err := c.octetCodec.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (c octetCodecV2) Unmarshal(data mem.BufferSlice, v any) error {
	return c.octetCodec.Unmarshal(data.Materialize(), v)
}

// Feature: Codec registry, CodecV2 on mem.BufferSlice
//
// A codec that is forced is that of every call, and no client needs to name it.
func TestForceServerCodec(t *testing.T) {
	louder := func(_ any, ss grpc.ServerStream) error {
		var text string
		if err := ss.RecvMsg(&text); err != nil {
			return err
		}
		text += "!"
		return ss.SendMsg(&text)
	}
	type server struct {
		name string
		make func(fault error) anyServer
	}
	for _, tt := range []server{
		{"weir V1", func(fault error) anyServer {
			return weir.NewServer(weir.ForceServerCodec(octetCodec{fault}), weir.UnknownServiceHandler(louder))
		}},
		{"weir V2", func(fault error) anyServer {
			return weir.NewServer(weir.ForceServerCodecV2(octetCodecV2{octetCodec{fault}}), weir.UnknownServiceHandler(louder))
		}},
		{"grpc-go V1", func(fault error) anyServer {
			return grpc.NewServer(grpc.ForceServerCodec(octetCodec{fault}), grpc.UnknownServiceHandler(louder))
		}},
		{"grpc-go V2", func(fault error) anyServer {
			return grpc.NewServer(grpc.ForceServerCodecV2(octetCodecV2{octetCodec{fault}}), grpc.UnknownServiceHandler(louder))
		}},
	} {
		for _, fault := range []error{nil, errors.New("no")} {
			srv, lis := tt.make(fault), listen(t)
			background(t, srv, lis)
			c := clients["weir"](t, lis.Addr().String())
			for _, subtype := range []string{"", "proto", "anything"} {
				in, out := "text", ""
				err := c.Invoke(context.Background(), "/a/b", &in, &out, grpc.ForceCodecV2(octetCodecV2{}), grpc.CallContentSubtype(subtype))
				switch {
				case fault == nil && (err != nil || out != "text!"):
					t.Errorf("%s: content-subtype %q: %q, %v", tt.name, subtype, out, err)
				case fault != nil && status.Code(err) != codes.Internal:
					t.Errorf("%s: with a codec that fails: %v, want INTERNAL", tt.name, err)
				}
			}
		}
	}
}
