package weir_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// counted is a codec of the second kind and a compressor that count their uses.
type counted struct{ used *atomic.Int32 }

var (
	countedCompressor atomic.Int32
	countedCodec      atomic.Int32
)

func init() {
	encoding.RegisterCompressor(counted{&countedCompressor})
	encoding.RegisterCodecV2(countedV2{counted{&countedCodec}})
}

func (counted) Name() string { return "counted" }

func (c counted) Compress(w io.Writer) (io.WriteCloser, error) {
	c.used.Add(1)
	return gzip.NewWriter(w), nil
}

func (c counted) Decompress(r io.Reader) (io.Reader, error) {
	c.used.Add(1)
	return gzip.NewReader(r)
}

type countedV2 struct{ counted }

func (c countedV2) Marshal(v any) (mem.BufferSlice, error) {
	c.used.Add(1)
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (c countedV2) Unmarshal(data mem.BufferSlice, v any) error {
	c.used.Add(1)
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// register is a service whose answers tell what it saw of the call.
type register struct{ echo }

func (register) see(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return fmt.Sprint(md["content-type"], md[":authority"], md["x-own"])
}

func (r register) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &testpb.SimpleResponse{Username: r.see(ctx), Payload: &testpb.Payload{Body: make([]byte, 100)}}, nil
}

func (r register) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	_ = s.SetHeader(metadata.Pairs("h", "1"))
	s.SetTrailer(metadata.Pairs("t", "1"))
	in, err := s.Recv()
	if err != nil {
		return err
	}
	if st := in.GetResponseStatus(); st.GetCode() != 0 {
		return status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: fmt.Appendf(nil, "%-100s", r.see(s.Context()))}})
}

// both makes a unary call and a stream with one message each way, and gives
// what the server saw. With a code the server fails with it.
func both(ctx context.Context, c testpb.TestServiceClient, code codes.Code, opts ...grpc.CallOption) (seen [2]string, errs [2]error) {
	st := &testpb.EchoStatus{Code: int32(code), Message: "as asked"}
	payload := &testpb.Payload{Body: make([]byte, 100)}
	out, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: st, Payload: payload}, opts...)
	seen[0], errs[0] = out.GetUsername(), err
	s, err := c.FullDuplexCall(ctx, opts...)
	if err == nil {
		err = s.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: st, Payload: payload})
	}
	for err == nil {
		var out *testpb.StreamingOutputCallResponse
		if out, err = s.Recv(); err == nil {
			seen[1] = strings.TrimSpace(string(out.GetPayload().GetBody()))
		}
	}
	if err != io.EOF {
		errs[1] = err
	}
	return seen, errs
}

// optionTests has every option of grpc-go, and what it does.
func optionTests() map[string]func(t *testing.T, call func(o grpc.CallOption) ([2]string, [2]error)) {
	fine := func(t *testing.T, errs [2]error) {
		t.Helper()
		for i, err := range errs {
			if err != nil {
				t.Errorf("%s: %v", []string{"call", "stream"}[i], err)
			}
		}
	}
	saw := func(o grpc.CallOption, want string) func(*testing.T, func(grpc.CallOption) ([2]string, [2]error)) {
		return func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			seen, errs := call(o)
			fine(t, errs)
			for i := range seen {
				if !strings.Contains(seen[i], want) {
					t.Errorf("%s: the server saw %q, want %q", []string{"call", "stream"}[i], seen[i], want)
				}
			}
		}
	}
	uses := func(o grpc.CallOption, n *atomic.Int32) func(*testing.T, func(grpc.CallOption) ([2]string, [2]error)) {
		return func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			n.Store(0)
			_, errs := call(o)
			fine(t, errs)
			if n.Load() < 4 {
				t.Errorf("it was used %d times", n.Load())
			}
		}
	}
	exhausts := func(o grpc.CallOption, fewer grpc.CallOption) func(*testing.T, func(grpc.CallOption) ([2]string, [2]error)) {
		return func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			_, errs := call(o)
			fine(t, errs)
			for _, err := range func() [2]error { _, errs := call(fewer); return errs }() {
				if status.Code(err) != codes.ResourceExhausted {
					t.Errorf("got %v, want RESOURCE_EXHAUSTED", err)
				}
			}
		}
	}
	var md metadata.MD
	var p peer.Peer
	var finished []error
	var v1, v2, custom atomic.Int32
	return map[string]func(*testing.T, func(grpc.CallOption) ([2]string, [2]error)){
		"EmptyCallOption":                 saw(grpc.EmptyCallOption{}, "application/grpc"),
		"StaticMethodCallOption":          saw(grpc.StaticMethod(), "application/grpc"),
		"MaxRetryRPCBufferSizeCallOption": saw(grpc.MaxRetryRPCBufferSize(1), "application/grpc"),
		"AuthorityOverrideCallOption":     saw(grpc.CallAuthority("other.test"), "[other.test]"),
		"PerRPCCredsCallOption":           saw(grpc.PerRPCCredentials(constant{md: map[string]string{"x-own": "mine"}}), "[mine]"),
		"ContentSubtypeCallOption":        saw(grpc.CallContentSubtype("COUNTED"), "[application/grpc+counted]"),
		"CompressorCallOption":            uses(grpc.UseCompressor("counted"), &countedCompressor),
		"ForceCodecCallOption":            uses(grpc.ForceCodec(oldCodec{"proto", &v1}), &v1),
		"ForceCodecV2CallOption":          uses(grpc.ForceCodecV2(countedV2{counted{&v2}}), &v2),
		"CustomCodecCallOption":           uses(grpc.CustomCodecCallOption{Codec: oldCodec{"odd", &custom}}, &custom),
		"MaxRecvMsgSizeCallOption":        exhausts(grpc.MaxCallRecvMsgSize(300), grpc.MaxCallRecvMsgSize(99)),
		"MaxSendMsgSizeCallOption":        exhausts(grpc.MaxCallSendMsgSize(300), grpc.MaxCallSendMsgSize(99)),
		"FailFastCallOption":              saw(grpc.WaitForReady(true), "application/grpc"), // see TestWaitForReady
		"HeaderCallOption": func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			md = nil
			if _, errs := call(grpc.Header(&md)); errs != [2]error{} || !slices.Equal(md["h"], []string{"1"}) {
				t.Errorf("the header is %v, %v", md, errs)
			}
		},
		"TrailerCallOption": func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			md = nil
			if _, errs := call(grpc.Trailer(&md)); errs != [2]error{} || !slices.Equal(md["t"], []string{"1"}) {
				t.Errorf("the trailer is %v, %v", md, errs)
			}
		},
		"PeerCallOption": func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			p = peer.Peer{}
			if _, errs := call(grpc.Peer(&p)); errs != [2]error{} || p.Addr == nil || p.AuthInfo == nil {
				t.Errorf("the peer is %v, %v", p, errs)
			}
		},
		"OnFinishCallOption": func(t *testing.T, call func(grpc.CallOption) ([2]string, [2]error)) {
			finished = nil
			if _, errs := call(grpc.OnFinish(func(err error) { finished = append(finished, err) })); errs != [2]error{} || !slices.Equal(finished, []error{nil, nil}) {
				t.Errorf("it was told %v, %v", finished, errs)
			}
		},
	}
}

// Every option of grpc-go works by value, by pointer and embedded in a struct
// of the user's, for calls and for streams.
func TestEachOption(t *testing.T) {
	wraps := map[string]func(grpc.CallOption) grpc.CallOption{
		"value": func(o grpc.CallOption) grpc.CallOption { return o },
		"pointer": func(o grpc.CallOption) grpc.CallOption {
			p := reflect.New(reflect.TypeOf(o))
			p.Elem().Set(reflect.ValueOf(o))
			return p.Interface().(grpc.CallOption)
		},
		"embedded": func(o grpc.CallOption) grpc.CallOption { return markedAny{"m", o} },
	}
	tests := optionTests()
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for name, test := range tests {
			for form, wrap := range wraps {
				if strings.Contains(t.Name(), "/grpc-go_") && name == "OnFinishCallOption" && form != "value" {
					continue // grpc-go looks for the value only
				}
				t.Run(name+"/"+form, func(t *testing.T) {
					test(t, func(o grpc.CallOption) ([2]string, [2]error) { return both(ctx, c, codes.OK, wrap(o)) })
				})
			}
		}
	})
}

// The table above has every option that the version of grpc-go in go.mod has:
// one that a later version adds is to be supported, or weir refuses calls with
// it.
func TestOptionsAreAllThatGRPCHas(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "google.golang.org/grpc").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	tests, found := optionTests(), 0
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name.Name != "grpc" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok && ts.Name.IsExported() && strings.HasSuffix(ts.Name.Name, "CallOption") && ts.Name.Name != "CallOption" {
				if found++; tests[ts.Name.Name] == nil {
					t.Errorf("grpc.%s has no test", ts.Name.Name)
				}
			}
			return true
		})
	}
	if found < len(tests) {
		t.Errorf("%d options were found, and %d are tested", found, len(tests))
	}
}

// ofOtherLibraries is an option that interceptors of other libraries look for.
type ofOtherLibraries struct {
	grpc.EmptyCallOption
	retries int
}

// Options that say nothing to a transport are left to those who know them; no
// option at all, in whatever form, is none.
func TestForeignOptions(t *testing.T) {
	c, _ := pairings[0].start(t, register{})
	for name, o := range map[string]grpc.CallOption{
		"a library's":             ofOtherLibraries{retries: 3},
		"a pointer to it":         &ofOtherLibraries{retries: 3},
		"nil":                     nil,
		"a nil pointer":           (*grpc.HeaderCallOption)(nil),
		"a nil pointer to its":    (*ofOtherLibraries)(nil),
		"nil, embedded":           markedAny{"m", nil},
		"a nil pointer, embedded": markedHeaderPointer{nil},
	} {
		if _, errs := both(t.Context(), c, codes.OK, o); errs != [2]error{} {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// A codec of the second kind that is nil is that of the Client, as in grpc-go.
func TestForceCodecV2_Nil(t *testing.T) {
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		for _, opts := range [][]grpc.CallOption{nil, {grpc.ForceCodec(octetCodec{})}, {grpc.ForceCodecV2(octetCodecV2{})}} {
			seen, errs := both(ctx, c, codes.OK, append(opts, grpc.ForceCodecV2(nil))...)
			if errs != [2]error{} || strings.Contains(seen[0]+seen[1], "octets") {
				t.Errorf("%q, %v", seen, errs)
			}
		}
	})
}

// One of the first kind, with which grpc-go panics, fails its call.
func TestForceCodec_Nil(t *testing.T) {
	c, _ := pairings[0].start(t, register{})
	for name, o := range map[string]grpc.CallOption{"ForceCodec": grpc.ForceCodec(nil), "CallCustomCodec": grpc.CustomCodecCallOption{}} {
		_, errs := both(t.Context(), c, codes.OK, o)
		for _, err := range errs {
			wantText(t, err, codes.Internal, name)
		}
	}
}

// Options of the Client come before those of the call, of which the last
// counts; what receives results receives all of them.
func TestOrderOfOptions(t *testing.T) {
	address := serveOn(t, pairings[0], register{})
	var first, second metadata.MD
	c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+address,
		weir.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(50), grpc.Header(&first)),
		weir.WithDefaultCallOptions(grpc.CallContentSubtype("counted"))))
	_, errs := both(t.Context(), c, codes.OK)
	for _, err := range errs {
		wantText(t, err, codes.ResourceExhausted, "MaxCallRecvMsgSize", "50")
	}
	seen, errs := both(t.Context(), c, codes.OK, grpc.MaxCallRecvMsgSize(10), grpc.MaxCallRecvMsgSize(1000), grpc.Header(&second), grpc.CallContentSubtype("proto"))
	if errs != [2]error{} || !strings.Contains(seen[0]+seen[1], "grpc+proto") || len(first["h"]) != 1 || len(second["h"]) != 1 {
		t.Errorf("%q, headers %v and %v, %v", seen, first, second, errs)
	}
}

// An error that comes of an option's limit names the option, the limit and the
// size, also for a message that is larger only when it is decompressed.
func TestSizeErrorsNameTheOption(t *testing.T) {
	c, _ := pairings[0].start(t, register{})
	for _, extra := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		_, errs := both(t.Context(), c, codes.OK, append(extra, grpc.MaxCallRecvMsgSize(80))...)
		for _, err := range errs {
			wantText(t, err, codes.ResourceExhausted, "MaxCallRecvMsgSize", "80")
		}
	}
	for _, n := range []int{99, 0, -1} {
		_, errs := both(t.Context(), c, codes.OK, grpc.MaxCallSendMsgSize(n))
		for _, err := range errs {
			wantText(t, err, codes.ResourceExhausted, "MaxCallSendMsgSize", fmt.Sprint(n))
		}
		_, errs = both(t.Context(), c, codes.OK, grpc.MaxCallRecvMsgSize(n))
		for _, err := range errs {
			wantText(t, err, codes.ResourceExhausted, "MaxCallRecvMsgSize")
		}
	}
}

// A call that fails tells its options too: what the server sent, who it was,
// and how the call ended.
func TestOptionsOfFailedCall(t *testing.T) {
	testPairings(t, register{}, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		var header, trailer metadata.MD
		var p peer.Peer
		var finished []error
		_, errs := both(ctx, c, codes.DataLoss, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p),
			grpc.OnFinish(func(err error) { finished = append(finished, err) }))
		if len(finished) != 2 {
			t.Fatalf("OnFinish was told %v", finished)
		}
		for i := range errs {
			if status.Code(errs[i]) != codes.DataLoss || status.Code(finished[i]) != codes.DataLoss {
				t.Errorf("the call ended with %v, and OnFinish was told %v", errs[i], finished[i])
			}
		}
		if len(trailer["t"]) != 1 || p.Addr == nil {
			t.Errorf("header %v, trailer %v, peer %v", header, trailer, p)
		}
	})
}

// OnFinish is told once of a stream that its caller leaves: by cancelling,
// without receiving anything more.
func TestOnFinishOfLeftStream(t *testing.T) {
	testPairings(t, newStreamer(), func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		told := make(chan error, 2)
		if _, err := c.FullDuplexCall(ctx, grpc.OnFinish(func(err error) { told <- err })); err != nil {
			t.Fatal(err)
		}
		cancel()
		select {
		case err := <-told:
			if status.Code(err) != codes.Canceled {
				t.Errorf("OnFinish was told %v, want CANCELLED", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("OnFinish was told nothing in 20 s")
		}
	})
}

// FailFast says whether a call waits for a server that is not there.
func TestFailFastForms(t *testing.T) {
	lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
	stop(false)
	for name, dial := range clients {
		c := testpb.NewTestServiceClient(dial(t, lis.Addr().String()))
		for _, tt := range []struct {
			o    grpc.CallOption
			want codes.Code
		}{
			{grpc.WaitForReady(true), codes.DeadlineExceeded},
			{&grpc.FailFastCallOption{FailFast: false}, codes.DeadlineExceeded},
			{markedAny{"m", grpc.WaitForReady(true)}, codes.DeadlineExceeded},
			{grpc.WaitForReady(false), codes.Unavailable},
			{&grpc.FailFastCallOption{FailFast: true}, codes.Unavailable},
		} {
			limit := 20 * time.Second // for who does not wait
			if tt.want == codes.DeadlineExceeded {
				limit = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			if _, err := c.EmptyCall(ctx, &testpb.Empty{}, tt.o); status.Code(err) != tt.want {
				t.Errorf("%s, %T: %v, want %v", name, tt.o, err, tt.want)
			}
			cancel()
		}
	}
}
