package weir_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	stockgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// scale is a stats handler that weighs messages.
type scale struct {
	mu  sync.Mutex
	in  []weight
	out []weight
}

type weight struct {
	size, wire int
	message    any
}

func (w weight) compressed() bool { return w.wire < w.size }

func (s *scale) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *scale) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *scale) HandleConn(context.Context, stats.ConnStats)                       {}
func (s *scale) HandleRPC(_ context.Context, e stats.RPCStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case *stats.InPayload:
		s.in = append(s.in, weight{e.Length, e.CompressedLength, e.Payload})
	case *stats.OutPayload:
		s.out = append(s.out, weight{e.Length, e.CompressedLength, e.Payload})
	}
}

// take gives what was weighed, and begins anew.
func (s *scale) take() (in, out []weight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, out, s.in, s.out = s.in, s.out, nil, nil
	return in, out
}

// weighed serves impl and gives a client, with what weighs their messages.
func weighed(t *testing.T, impl testpb.TestServiceServer, dial []weir.DialOption, serve []weir.ServerOption) (c *weir.Client, atClient, atServer *scale) {
	t.Helper()
	atClient, atServer = new(scale), new(scale)
	srv, lis := weir.NewServer(append(serve, weir.StatsHandler(atServer))...), listen(t)
	testpb.RegisterTestServiceServer(srv, impl)
	background(t, srv, lis)
	return newWeirClient(t, lis.Addr().String(), append(dial, weir.WithStatsHandler(atClient))...), atClient, atServer
}

// sized gives a request of n octets, and asks for an answer of m.
func sized(n, m int) *testpb.SimpleRequest {
	in := &testpb.SimpleRequest{ResponseSize: int32(m), Payload: &testpb.Payload{}}
	for proto.Size(in) < n {
		in.Payload.Body = append(in.Payload.Body, 0)
	}
	return in
}

// Feature: Minimum size to compress
//
// Messages that are smaller than the bound are not compressed, on either side;
// those that are as large are.
func TestMinCompressSize(t *testing.T) {
	const least = 400
	for _, tt := range []struct {
		name           string
		client, server bool // with the bound
	}{
		{"client", true, false}, {"server", false, true}, {"both", true, true}, {"neither", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dial []weir.DialOption
			var serve []weir.ServerOption
			if tt.client {
				dial = append(dial, weir.WithMinCompressSize(least))
			}
			if tt.server {
				serve = append(serve, weir.MinCompressSize(least))
			}
			c, client, server := weighed(t, newStreamer(), dial, serve)
			stub := stubOf(c)
			for _, size := range []int{100, least - 1, least, 5000} {
				// The answer has a few octets more than its payload.
				in := sized(size, size-20)
				if _, err := stub.UnaryCall(t.Context(), in, grpc.UseCompressor("gzip")); err != nil {
					t.Fatal(err)
				}
				back, there := client.take()
				server.take()
				if there[0].size != size {
					t.Fatalf("the request has %d octets, want %d", there[0].size, size)
				}
				if got, want := there[0].compressed(), !tt.client || size >= least; got != want {
					t.Errorf("a request of %d octets: compressed is %t", size, got)
				}
				if got, want := back[0].compressed(), !tt.server || back[0].size >= least; got != want {
					t.Errorf("an answer of %d octets: compressed is %t", back[0].size, got)
				}
				if err := ping(t.Context(), stub, grpc.UseCompressor("gzip")); err != nil {
					t.Fatal(err)
				}
				back, there = client.take()
				if there[0].size >= 100 || back[0].size < 100 || back[0].size >= least {
					t.Fatalf("the stream's messages have %d and %d octets", there[0].size, back[0].size)
				}
				if got := back[0].compressed(); got == tt.server {
					t.Errorf("an answer of %d octets on a stream: compressed is %t", back[0].size, got)
				}
			}
		})
	}
}

func stubOf(c grpc.ClientConnInterface) testpb.TestServiceClient {
	return testpb.NewTestServiceClient(c)
}

// mixed sends the same message compressed, uncompressed and compressed.
type mixed struct{ echo }

var heavy = &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, 3000)}}

func (mixed) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for range 3 {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
	for _, m := range []any{heavy, weir.Uncompressed(heavy), heavy} {
		if err := s.SendMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// Feature: Compression of each message by itself
//
// A message of a compressed stream can go as it is, on both sides, and whoever
// observes the call sees the message, not what is around it.
func TestUncompressedMessage(t *testing.T) {
	c, client, server := weighed(t, mixed{}, nil, nil)
	s, err := stubOf(c).FullDuplexCall(t.Context(), grpc.UseCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	request := &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 2000)}}
	for _, m := range []any{request, weir.Uncompressed(request), request} {
		if err := s.SendMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		out, err := s.Recv()
		if err != nil || !proto.Equal(out, heavy) {
			t.Fatalf("received %d octets, %v", len(out.GetPayload().GetBody()), err)
		}
	}
	if _, err := s.Recv(); err == nil {
		t.Fatal("a fourth message")
	}
	in, out := client.take()
	sin, sout := server.take()
	for name, ws := range map[string][]weight{"the client sends": out, "the server receives": sin, "the server sends": sout, "the client receives": in} {
		if len(ws) != 3 || !ws[0].compressed() || ws[1].compressed() || !ws[2].compressed() {
			t.Errorf("%s %v", name, ws)
		}
		for _, w := range ws {
			if _, ok := w.message.(proto.Message); !ok {
				t.Errorf("%s: the stats handler is shown a %T", name, w.message)
			}
		}
	}
	if err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, weir.Uncompressed(sized(2000, 1)), &testpb.SimpleResponse{}, grpc.UseCompressor("gzip")); err != nil {
		t.Fatal(err)
	}
	if _, out := client.take(); out[0].compressed() || out[0].size != 2000 {
		t.Errorf("a unary call sent %v", out)
	}
}

// acceptor tells what the client accepts, and answers with a compressor.
func acceptor(use string) scripted {
	return scripted{do: func(ctx context.Context) error {
		names, err := weir.ClientSupportedCompressors(ctx)
		if err != nil {
			return err
		}
		if err := grpc.SetHeader(ctx, metadata.MD{"x-accepts": names}); err != nil {
			return err
		}
		if use == "" {
			return nil
		}
		return weir.SetSendCompressor(ctx, use)
	}}
}

// Feature: Compressors that the client accepts; ClientSupportedCompressors
//
// Clients say what they accept, and handlers are told.
func TestWithAcceptCompressors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  []weir.DialOption
		use   string
		want  []string
		fails bool
	}{
		{"by default those with known names", nil, "gzip", []string{"gzip"}, false},
		{"one of its own", []weir.DialOption{weir.WithAcceptCompressors("renamed-gzip", "gzip")}, "renamed-gzip", []string{"renamed-gzip", "gzip"}, false},
		{"another", []weir.DialOption{weir.WithAcceptCompressors("renamed-gzip")}, "gzip", []string{"renamed-gzip"}, true},
		{"identity", []weir.DialOption{weir.WithAcceptCompressors("identity")}, "", nil, false},
		{"none", []weir.DialOption{weir.WithAcceptCompressors()}, "gzip", nil, true},
		{"the last one counts", []weir.DialOption{weir.WithAcceptCompressors(), weir.WithAcceptCompressors("gzip")}, "gzip", []string{"gzip"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, client, _ := weighed(t, acceptor(tt.use), tt.opts, nil)
			called(t.Context(), stubOf(c), func(kind string, header, _ metadata.MD, err error) {
				if err != nil != tt.fails {
					t.Errorf("%s: %v", kind, err)
				}
				if got := header.Get("x-accepts"); len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
					t.Errorf("%s: the handler is told %q, want %q", kind, got, tt.want)
				}
			})
			client.take()
		})
	}
	_, err := weir.ClientSupportedCompressors(t.Context())
	wantText(t, err, codes.Internal, "not that of a handler on a weir Server")
	if _, err := weir.NewClient("x:1", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithAcceptCompressors("gzip", "nobody")); err == nil {
		t.Error("a compressor that nobody has registered is accepted")
	} else {
		wantWords(t, err, []string{"WithAcceptCompressors", `"nobody"`, "RegisterCompressor"})
	}
}

// A server may not use what WithAcceptCompressors leaves out, even if it does.
func TestAnswerOfUnacceptedCompressor(t *testing.T) {
	c, _, _ := weighed(t, newStreamer(), []weir.DialOption{weir.WithAcceptCompressors("renamed-gzip")}, nil)
	// The server answers as the request is compressed.
	_, err := stubOf(c).UnaryCall(t.Context(), sized(100, 100), grpc.UseCompressor("gzip"))
	wantText(t, err, codes.Internal, `"gzip"`, "WithAcceptCompressors", "renamed-gzip")
	err = ping(t.Context(), stubOf(c), grpc.UseCompressor("gzip"))
	wantText(t, err, codes.Internal, `"gzip"`, "WithAcceptCompressors", "renamed-gzip")
	// What a call says of itself counts more. No names refuse nothing, as in grpc-go.
	for _, o := range []grpc.CallOption{experimental.AcceptCompressors("gzip"), experimental.AcceptCompressors()} {
		if _, err := stubOf(c).UnaryCall(t.Context(), sized(100, 100), grpc.UseCompressor("gzip"), o); err != nil {
			t.Error(err)
		}
	}
}

// Feature: Compression level of gzip
//
// gzip.SetLevel, which is for init functions, sets the level of both sides: the
// test runs itself with one level and another.
func TestGzipLevel(t *testing.T) {
	const variable = "WEIR_TEST_GZIP_LEVEL"
	if level := os.Getenv(variable); level != "" {
		n, err := strconv.Atoi(level)
		if err == nil {
			err = stockgzip.SetLevel(n)
		}
		if err != nil {
			t.Fatal(err)
		}
		c, client, _ := weighed(t, mixed{}, nil, nil)
		text := bytes.Repeat([]byte("ever the same text"), 2000)
		s, err := stubOf(c).FullDuplexCall(t.Context(), grpc.UseCompressor("gzip"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: text}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		in, out := client.take()
		fmt.Fprintf(os.Stdout, "sizes: %d %d\n", out[0].wire, in[0].wire)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sizes := func(level string) (request, answer int) {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestGzipLevel$")
		cmd.Env = append(os.Environ(), variable+"="+level)
		out, err := cmd.CombinedOutput()
		if err == nil {
			_, err = fmt.Sscanf(string(out), "sizes: %d %d", &request, &answer)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return request, answer
	}
	request, answer := sizes("9")
	storedRequest, storedAnswer := sizes("0")
	if request >= 1000 || answer >= 1000 || storedRequest < 36_000 || storedAnswer < 3000 {
		t.Errorf("with level 9 the messages have %d and %d octets, with level 0 %d and %d", request, answer, storedRequest, storedAnswer)
	}
}
