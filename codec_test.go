package weir_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Codecs of both kinds with one name: the one that is registered last counts.
var ofTwoKinds struct{ v1, v2 atomic.Int32 }

// named gives a codec of the second kind another name.
type named struct {
	countedV2
	name string
}

func (n named) Name() string { return n.name }

func init() {
	v2 := countedV2{counted{&ofTwoKinds.v2}}
	encoding.RegisterCodecV2(named{v2, "first-kind"})
	encoding.RegisterCodec(oldCodec{"first-kind", &ofTwoKinds.v1})
	encoding.RegisterCodec(oldCodec{"second-kind", &ofTwoKinds.v1})
	encoding.RegisterCodecV2(named{v2, "second-kind"})
}

// A codec of the first kind overrides one of the second that was registered
// under its name, and the reverse.
func TestCodecsOverrideEachOther(t *testing.T) {
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for name, used := range map[string]*atomic.Int32{"first-kind": &ofTwoKinds.v1, "second-kind": &ofTwoKinds.v2} {
			ofTwoKinds.v1.Store(0)
			ofTwoKinds.v2.Store(0)
			if _, errs := both(ctx, c, codes.OK, grpc.CallContentSubtype(name)); errs != [2]error{} {
				t.Error(errs)
			}
			if v1, v2 := ofTwoKinds.v1.Load(), ofTwoKinds.v2.Load(); v1+v2 != 8 || used.Load() != 8 {
				t.Errorf("%s: the codec of the first kind was used %d times and that of the second %d", name, v1, v2)
			}
		}
	})
}

// A program that registers a codec as "proto", which libraries with faster
// protobuf code do, has it used by clients and servers. What is registered
// counts for the whole process: the test runs itself.
func TestProtoCodecIsReplaced(t *testing.T) {
	const variable = "WEIR_TEST_PROTO"
	kind := os.Getenv(variable)
	if kind == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"v1", "v2"} {
			t.Run(kind, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestProtoCodecIsReplaced$")
				cmd.Env = append(os.Environ(), variable+"="+kind)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		return
	}
	var used atomic.Int32
	if kind == "v1" {
		encoding.RegisterCodec(oldCodec{"proto", &used})
	} else {
		encoding.RegisterCodecV2(named{countedV2{counted{&used}}, "proto"})
	}
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for _, opts := range [][]grpc.CallOption{nil, {grpc.CallContentSubtype("proto")}} {
			used.Store(0)
			if _, errs := both(ctx, c, codes.OK, opts...); errs != [2]error{} {
				t.Error(errs)
			}
			if n := used.Load(); n != 8 {
				t.Errorf("the codec was used %d times, want 8: twice a message, two messages a call", n)
			}
		}
	})
}

// keeper is a codec that keeps the memory of what it has decoded, of either
// kind, and counts the buffers that it gives away for messages to be sent.
type keeper struct {
	mu   sync.Mutex
	kept [][]byte
	sums []byte // the octet that all of kept[i] must be

	outstanding atomic.Int32
}

func (k *keeper) keep(data []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(data) > 0 {
		k.kept, k.sums = append(k.kept, data), append(k.sums, data[len(data)-1])
	}
}

func (k *keeper) check(t *testing.T, atLeast int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.kept) < atLeast {
		t.Errorf("the codec decoded %d messages, want %d", len(k.kept), atLeast)
	}
	for i, data := range k.kept {
		if want := bytes.Repeat(k.sums[i:i+1], len(data)); !bytes.Equal(data, want) {
			t.Fatalf("message %d has other octets than when it was decoded", i)
		}
	}
}

// Get and Put make it a mem.BufferPool.
func (k *keeper) Get(n int) *[]byte {
	k.outstanding.Add(1)
	b := make([]byte, n)
	return &b
}

func (k *keeper) Put(b *[]byte) {
	k.outstanding.Add(-1)
	clear(*b)
}

// raw is a message of octets that are all the same.
type raw struct{ data []byte }

type keeperV1 struct{ *keeper }

func (keeperV1) Name() string                  { return "keeper-v1" }
func (keeperV1) Marshal(v any) ([]byte, error) { return v.(*raw).data, nil }
func (k keeperV1) Unmarshal(data []byte, v any) error {
	k.keep(data)
	v.(*raw).data = data
	return nil
}

type keeperV2 struct{ *keeper }

func (keeperV2) Name() string { return "keeper-v2" }

// Marshal gives a message in two parts.
func (k keeperV2) Marshal(v any) (mem.BufferSlice, error) {
	b := v.(*raw).data
	half := len(b) / 2
	return mem.BufferSlice{mem.Copy(b[:half], k), mem.Copy(b[half:], k)}, nil
}

func (k keeperV2) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref() // it keeps them for good
	for _, b := range data {
		k.keep(b.ReadOnlyData())
	}
	v.(*raw).data = data.Materialize()
	return nil
}

var (
	keptV1, keptV2 keeper
	rawDesc        = grpc.ServiceDesc{ServiceName: "weir.Raw", Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(raw)
			err := decode(in)
			return in, err
		},
	}}}
)

func init() {
	encoding.RegisterCodec(keeperV1{&keptV1})
	encoding.RegisterCodecV2(keeperV2{&keptV2})
}

// What a codec decodes is its own: weir never writes to it again. What it
// encodes is freed when it is sent, and not before.
func TestCodecsKeepTheirMemory(t *testing.T) {
	for name, k := range map[string]*keeper{"keeper-v1": &keptV1, "keeper-v2": &keptV2} {
		for _, compressor := range []string{"identity", "gzip"} {
			t.Run(name+", "+compressor, func(t *testing.T) {
				srv, lis := weir.NewServer(), listen(t)
				srv.RegisterService(&rawDesc, nil)
				background(t, srv, lis)
				c := newWeirClient(t, lis.Addr().String())
				k.kept, k.sums = nil, nil
				var wg sync.WaitGroup
				for g := range 8 {
					wg.Go(func() {
						for i := range 15 {
							in := &raw{bytes.Repeat([]byte{byte(1 + g*40 + i)}, 2+(g*977+i*7919)%70_000)}
							var out raw
							err := c.Invoke(t.Context(), "/weir.Raw/Echo", in, &out, grpc.CallContentSubtype(name), grpc.UseCompressor(compressor))
							if err != nil || !bytes.Equal(in.data, out.data) {
								t.Errorf("the answer has %d octets, want %d; %v", len(out.data), len(in.data), err)
								return
							}
						}
					})
				}
				wg.Wait()
				k.check(t, 2*8*15)
				if n := k.outstanding.Load(); n != 0 {
					t.Errorf("%d of the codec's buffers were not freed", n)
				}
			})
		}
	}
}

// broken is a codec that fails, or sends what is no message.
type broken struct {
	marshal, unmarshal error
	octets             []byte
}

func (broken) Name() string                  { return "proto" }
func (b broken) Marshal(any) ([]byte, error) { return b.octets, b.marshal }
func (b broken) Unmarshal([]byte, any) error { return b.unmarshal }

// A value that cannot be encoded, or octets that cannot be decoded, are INTERNAL
// with both clients and both servers, and harm only their call.
func TestCodecErrors(t *testing.T) {
	oops := errors.New("the codec's own words")
	fine := new(testpb.Empty)
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, stub testpb.TestServiceClient) {
		for _, tt := range []struct {
			name  string
			in    *testpb.SimpleRequest
			opt   grpc.CallOption
			words []string
		}{
			{"a string that is not UTF-8", &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Message: "\xff"}}, grpc.EmptyCallOption{}, []string{"UTF-8"}},
			{"a codec that does not encode", &testpb.SimpleRequest{}, grpc.ForceCodec(broken{marshal: oops}), []string{oops.Error()}},
			{"a codec that does not decode", &testpb.SimpleRequest{}, grpc.ForceCodec(broken{unmarshal: oops}), []string{oops.Error()}},
			{"octets that the server cannot decode", &testpb.SimpleRequest{}, grpc.ForceCodec(broken{octets: []byte{0xff}}), nil},
		} {
			if _, err := stub.UnaryCall(ctx, tt.in, tt.opt); status.Code(err) != codes.Internal {
				t.Errorf("%s: %v, want INTERNAL", tt.name, err)
			} else {
				wantWords(t, err, tt.words)
			}
		}
		if _, err := stub.EmptyCall(ctx, fine); err != nil {
			t.Errorf("the connection is harmed: %v", err)
		}
	})
}

// Values that are no protobuf messages are refused with their type, on either
// side. A nil message is an empty one.
func TestNotAProtobufMessage(t *testing.T) {
	answers := map[string]any{"Int": 5, "String": "text", "Nil": nil, "TypedNil": (*testpb.Empty)(nil), "Empty": new(testpb.Empty)}
	desc := grpc.ServiceDesc{ServiceName: "weir.Odd"}
	for name, v := range answers {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) { return v, nil }})
	}
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			srv, lis := p.newServer(), listen(t)
			srv.RegisterService(&desc, nil)
			background(t, srv, lis)
			c := p.dial(t, lis.Addr().String())
			for name, v := range answers {
				want := codes.OK
				if name == "Int" || name == "String" {
					want = codes.Internal
				}
				kind := fmt.Sprintf("%T", v)
				err := c.Invoke(t.Context(), "/weir.Odd/"+name, &testpb.Empty{}, &testpb.Empty{})
				if status.Code(err) != want || err != nil && !strings.Contains(err.Error(), kind) {
					t.Errorf("a handler that answers with %s: %v, want %v", kind, err, want)
				}
				err = c.Invoke(t.Context(), "/weir.Odd/Empty", v, &testpb.Empty{})
				if status.Code(err) != want || err != nil && !strings.Contains(err.Error(), kind) {
					t.Errorf("a request of %s: %v, want %v", kind, err, want)
				}
			}
			err := c.Invoke(t.Context(), "/weir.Odd/Empty", &testpb.Empty{}, new(int))
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "*int") {
				t.Errorf("an answer into *int: %v, want INTERNAL", err)
			}
		})
	}
}

// compressed gives a message of n zeros, in gzip and with its prefix.
func compressed(t *testing.T, n int) []byte {
	t.Helper()
	msg, err := proto.Marshal(&testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, n)}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(msg); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{1}, uint32(b.Len())), b.Bytes()...)
}

const bombSize = 32 << 20

// A small message that is a large one when it is decompressed is refused by
// either side, for as much memory as the limit allows.
func TestDecompressionIsBounded(t *testing.T) {
	const limit, overhead = 1 << 20, 6 << 20 // the memory doubles until it is enough
	bomb := compressed(t, bombSize)
	bounded := func(t *testing.T, f func()) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > limit+overhead {
			t.Errorf("%d octets were allocated for a message of which %d are allowed", n, limit)
		}
	}
	write := func(p *h2peer.Peer, end bool) {
		for b := bomb; len(b) > 0; b = b[min(len(b), 16<<10):] {
			p.WriteData(1, end && len(b) <= 16<<10, b[:min(len(b), 16<<10)])
		}
	}
	for _, path := range []string{"/grpc.testing.TestService/UnaryCall", "/grpc.testing.TestService/FullDuplexCall"} {
		t.Run("server "+path, func(t *testing.T) {
			srv, lis := weir.NewServer(weir.MaxRecvMsgSize(limit)), listen(t)
			testpb.RegisterTestServiceServer(srv, newStreamer())
			background(t, srv, lis)
			nc, err := net.Dial("tcp", lis.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			p := h2peer.NewClient(t, nc)
			p.Ignore(http2.FrameWindowUpdate)
			p.Handshake()
			bounded(t, func() {
				p.WriteRequest(1, path, nil, false, "grpc-encoding", "gzip")
				write(p, true)
				h := p.WantTrailers("the message is too large", 1, codes.ResourceExhausted)
				if m := h.Get("grpc-message"); !strings.Contains(m, "MaxRecvMsgSize") {
					t.Errorf("the message %q does not name the option", m)
				}
			})
			p.Close()
		})
	}
	t.Run("client", func(t *testing.T) {
		a := newActor(t)
		c := newWeirClient(t, a.address())
		call := invoke(t.Context(), c, grpc.MaxCallRecvMsgSize(limit))
		p := a.accept()
		wantRequest(p, 1)
		bounded(t, func() {
			p.WriteResponse(1, nil, "grpc-encoding", "gzip")
			write(p, false)
			p.WriteTrailers(1, codes.OK, "")
			wantText(t, (<-call).err, codes.ResourceExhausted, "MaxCallRecvMsgSize", fmt.Sprint(limit))
		})
	})
}

// The limit is that of the message as it is used: one that has exactly as many
// octets passes, compressed or not.
func TestLimitIsExact(t *testing.T) {
	in := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 5000)}}
	size := proto.Size(in)
	for _, compressor := range []string{"identity", "gzip"} {
		for _, limit := range []int{size, size - 1, 0, -1} {
			srv, lis := weir.NewServer(weir.MaxRecvMsgSize(limit)), listen(t)
			testpb.RegisterTestServiceServer(srv, echo{})
			background(t, srv, lis)
			_, err := testpb.NewTestServiceClient(newWeirClient(t, lis.Addr().String())).UnaryCall(t.Context(), in, grpc.UseCompressor(compressor))
			if want := map[bool]codes.Code{true: codes.OK, false: codes.ResourceExhausted}[limit >= size]; status.Code(err) != want {
				t.Errorf("%d octets, %s, with a limit of %d: %v, want %v", size, compressor, limit, err, want)
			}
		}
	}
}

// What is wrong with how a message is compressed is said, by either side, with
// the codes of gRPC's specification of compression.
// https://github.com/grpc/grpc/blob/master/doc/compression.md
func TestCompressionFaults(t *testing.T) {
	good := compressed(t, 100)
	bad := bytes.Clone(good)
	copy(bad[5:], "not gzip")
	cut := bytes.Clone(good[:len(good)-6])
	binary.BigEndian.PutUint32(cut[1:], uint32(len(cut)-5))
	for _, tt := range []struct {
		name, encoding string
		msg            []byte
		server, client codes.Code
		word           string
	}{
		{"fine", "gzip", good, codes.OK, codes.OK, ""},
		{"no encoding", "", good, codes.Internal, codes.Internal, "grpc-encoding"},
		{"identity", "identity", good, codes.Internal, codes.Internal, "grpc-encoding"},
		{"an encoding that is unknown", "no-such", good, codes.Unimplemented, codes.Internal, `"no-such"`},
		{"not what it says", "gzip", bad, codes.Internal, codes.Internal, "decompress"},
		{"cut short", "gzip", cut, codes.Internal, codes.Internal, "decompress"},
	} {
		var extra []string
		if tt.encoding != "" {
			extra = []string{"grpc-encoding", tt.encoding}
		}
		t.Run(tt.name+", server", func(t *testing.T) {
			nc, err := net.Dial("tcp", serveOn(t, pairings[0], register{}))
			if err != nil {
				t.Fatal(err)
			}
			p := h2peer.NewClient(t, nc)
			p.Ignore(http2.FrameWindowUpdate, http2.FrameData)
			p.Handshake()
			p.WriteRequest(1, "/grpc.testing.TestService/UnaryCall", nil, false, extra...)
			p.WriteData(1, true, tt.msg)
			if tt.server == codes.OK {
				p.WantHeaders("an answer", 1)
			}
			h := p.WantTrailers("the end of the call", 1, tt.server)
			if m := h.Get("grpc-message"); !strings.Contains(m, tt.word) {
				t.Errorf("the message is %q, want %q", m, tt.word)
			}
			p.Close()
		})
		t.Run(tt.name+", client", func(t *testing.T) {
			a := newActor(t)
			call := invoke(t.Context(), newWeirClient(t, a.address()))
			p := a.accept()
			wantRequest(p, 1)
			p.WriteResponse(1, nil, extra...)
			p.WriteData(1, false, tt.msg)
			p.WriteTrailers(1, codes.OK, "")
			o := <-call
			if status.Code(o.err) != tt.client || o.err != nil && !strings.Contains(o.err.Error(), tt.word) {
				t.Errorf("the call gives %v, want %v with %q", o.err, tt.client, tt.word)
			}
		})
	}
}
