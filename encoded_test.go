package weir_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// tally is a codec of each kind, a compressor, and a count of what they make.
type tally struct{ encoded, compressed atomic.Int32 }

func (*tally) Name() string { return "tally" }

func (c *tally) Marshal(v any) (mem.BufferSlice, error) {
	c.encoded.Add(1)
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (*tally) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

func (c *tally) Compress(w io.Writer) (io.WriteCloser, error) {
	c.compressed.Add(1)
	return gzip.NewWriter(w), nil
}

func (*tally) Decompress(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

// odd is a codec that cannot be compared, and so not found again.
type odd struct {
	*tally
	_ []int
}

func (odd) Name() string { return "odd" }

var tallied, oddTallied tally

func init() {
	encoding.RegisterCodecV2(&tallied)
	encoding.RegisterCodecV2(odd{tally: &oddTallied})
	encoding.RegisterCompressor(&tallied)
}

// hub tells all who listen the same.
type hub struct {
	echo
	mu        sync.Mutex
	listeners []chan any
	joined    chan struct{}
}

func newHub() *hub { return &hub{joined: make(chan struct{}, 1<<10)} }

func (h *hub) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	news := make(chan any)
	h.mu.Lock()
	h.listeners = append(h.listeners, news)
	h.mu.Unlock()
	h.joined <- struct{}{}
	for m := range news {
		if err := s.SendMsg(m); err != nil {
			for range news { // until nobody tells anything
			}
			return err
		}
	}
	return nil
}

// tell tells them, and waits until all have it on its way.
func (h *hub) tell(m any) {
	for _, l := range h.listeners {
		l <- m
	}
}

func (h *hub) end() {
	for _, l := range h.listeners {
		close(l)
	}
}

// listener is a stream of a hub, and what it has heard.
func listener(ctx context.Context, tb testing.TB, h *hub, c grpc.ClientConnInterface, opts ...grpc.CallOption) grpc.ServerStreamingClient[testpb.StreamingOutputCallResponse] {
	tb.Helper()
	s, err := stubOf(c).StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{}, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	<-h.joined
	return s
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// Feature: Message that is encoded once for many streams (PreparedMsg)
//
// One message for streams of several connections, compressors and codecs is
// encoded once for each codec and compressed once for each compressor, and all
// receive the same, whatever else uses the memory of the process meanwhile.
func TestEncoded(t *testing.T) {
	h := newHub()
	atServer := new(scale)
	srv, lis := weir.NewServer(weir.StatsHandler(atServer)), listen(t)
	testpb.RegisterTestServiceServer(srv, h)
	background(t, srv, lis)
	defer h.end()
	var streams []grpc.ServerStreamingClient[testpb.StreamingOutputCallResponse]
	for _, opts := range [][]grpc.CallOption{
		nil,
		{grpc.UseCompressor("gzip")},
		{grpc.UseCompressor("tally")},
		{grpc.CallContentSubtype("tally")},
		{grpc.CallContentSubtype("tally"), grpc.UseCompressor("tally")},
		{grpc.CallContentSubtype("odd")},
	} {
		clients := []grpc.ClientConnInterface{newWeirClient(t, lis.Addr().String()), pairing{}.dial(t, lis.Addr().String())}
		for i := range 6 {
			opts := append(opts, grpc.MaxCallRecvMsgSize(maxMessage))
			streams = append(streams, listener(t.Context(), t, h, clients[i%2], opts...))
		}
	}
	for i, body := range [][]byte{nil, noise(1), noise(200), noise(16<<10 - 20), noise(16 << 10), noise(40 << 10), make([]byte, 100<<10), noise(1 << 20)} {
		tallied.encoded.Store(0)
		tallied.compressed.Store(0)
		oddTallied.encoded.Store(0)
		message := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: body}}
		if body == nil {
			message.Payload = nil
		}
		e := weir.NewEncoded(message)
		var wg sync.WaitGroup
		for _, s := range streams {
			wg.Go(func() {
				for round := range 3 {
					out, err := s.Recv()
					if err != nil || !proto.Equal(out, message) {
						t.Errorf("message %d, round %d: %d octets, %v, want %d", i, round, len(out.GetPayload().GetBody()), err, len(body))
						return
					}
				}
			})
		}
		for range 3 {
			h.tell(e)
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		// The compressor is one, the codecs are two: stock and tally.
		want := int32(2)
		if body == nil {
			want = 0 // an empty message is not compressed
		}
		if n, m := tallied.encoded.Load(), tallied.compressed.Load(); n != 1 || m != want {
			t.Errorf("message %d was encoded %d times and compressed %d times, want 1 and %d", i, n, m, want)
		}
		if n := oddTallied.encoded.Load(); n != 3*6 {
			t.Errorf("message %d was encoded %d times by a codec that cannot be found again, want 18", i, n)
		}
		_, out := atServer.take()
		for end := time.Now().Add(20 * time.Second); len(out) < 3*len(streams) && time.Now().Before(end); {
			<-time.After(time.Millisecond) // who receives a message may be before who says that it was sent
			_, more := atServer.take()
			out = append(out, more...)
		}
		size := proto.Size(message)
		compressed := 0
		for _, w := range out {
			if w.message != any(message) || w.size != size {
				t.Fatalf("the stats handler is told of %d octets in a %T, want %d of the message itself", w.size, w.message, size)
			}
			if w.wire != w.size {
				compressed++
			}
		}
		if len(out) != 3*len(streams) || size > 0 && compressed < len(out)/3 || size == 0 && compressed > 0 {
			t.Errorf("of %d messages that were sent the stats handler takes %d for compressed", len(out), compressed)
		}
	}
}

// Clients send an Encoded on streams and as requests of unary calls, many at a
// time, and handlers answer with one.
func TestEncodedOfClients(t *testing.T) {
	request := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: noise(30 << 10)}}
	item := &testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: noise(30 << 10)}}
	once, onStreams := weir.NewEncoded(request), weir.NewEncoded(item)
	answer := weir.NewEncoded(&testpb.SimpleResponse{Payload: &testpb.Payload{Body: noise(20 << 10)}})
	srv, lis := weir.NewServer(weir.UnaryInterceptor(func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if !bytes.Equal(in.(*testpb.SimpleRequest).GetPayload().GetBody(), request.Payload.Body) {
			t.Error("the request is another")
		}
		if _, err := next(ctx, in); err != nil {
			return nil, err
		}
		return answer, nil
	})), listen(t)
	testpb.RegisterTestServiceServer(srv, newStreamer())
	background(t, srv, lis)
	var wg sync.WaitGroup
	for _, compressor := range []string{"identity", "gzip"} {
		c := newWeirClient(t, lis.Addr().String())
		for range 8 {
			wg.Go(func() {
				for range 10 {
					var out testpb.SimpleResponse
					err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, once, &out, grpc.UseCompressor(compressor))
					if err != nil || !bytes.Equal(out.GetPayload().GetBody(), noise(20<<10)) {
						t.Errorf("a unary call gives %d octets, %v", len(out.GetPayload().GetBody()), err)
					}
				}
			})
			wg.Go(func() {
				s, err := stubOf(c).StreamingInputCall(t.Context(), grpc.UseCompressor(compressor))
				if err != nil {
					t.Error(err)
					return
				}
				for range 20 {
					if err := s.SendMsg(onStreams); err != nil {
						t.Error(err)
					}
				}
				if out, err := s.CloseAndRecv(); err != nil || out.GetAggregatedPayloadSize() != 20*30<<10 {
					t.Errorf("the server received %d octets, %v", out.GetAggregatedPayloadSize(), err)
				}
			})
		}
	}
	wg.Wait()
}

// A stream that is cancelled with an Encoded under way, or that refuses it for
// its size, takes nothing away from the others.
func TestEncodedOutlivesStreams(t *testing.T) {
	h := newHub()
	srv, lis := weir.NewServer(weir.MaxSendMsgSize(1<<20)), listen(t)
	testpb.RegisterTestServiceServer(srv, h)
	background(t, srv, lis)
	defer h.end()
	c := newWeirClient(t, lis.Addr().String())
	stays := listener(t.Context(), t, h, c)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		listener(ctx, t, h, c)
		message := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: noise(200<<10 + i)}}
		e := weir.NewEncoded(message)
		// Nobody receives from it: its window takes the first part of the message.
		h.listeners[1] <- e
		h.listeners[0] <- e
		cancel()
		out, err := stays.Recv()
		if err != nil || !proto.Equal(out, message) {
			t.Fatalf("round %d: %d octets, %v", i, len(out.GetPayload().GetBody()), err)
		}
		close(h.listeners[1])
		h.listeners = h.listeners[:1]
	}
	h.listeners[0] <- weir.NewEncoded(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, 2<<20)}})
	close(h.listeners[0])
	h.listeners = nil
	_, err := stays.Recv()
	wantText(t, err, codes.ResourceExhausted, "2097", "MaxSendMsgSize")
}

// What cannot be encoded or compressed fails each time, with the reason.
func TestEncodedFails(t *testing.T) {
	srv, lis := weir.NewServer(weir.MinCompressSize(100)), listen(t) // its answers are small
	testpb.RegisterTestServiceServer(srv, newStreamer())
	background(t, srv, lis)
	c := newWeirClient(t, lis.Addr().String(), weir.WithMinCompressSize(100))
	wrong, small, plain := weir.NewEncoded(5), weir.NewEncoded(sized(99, 1)), weir.NewEncoded(weir.Uncompressed(sized(5000, 1)))
	for range 2 {
		err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, wrong, new(testpb.SimpleResponse))
		wantText(t, err, codes.Internal, "int is not a protobuf message")
	}
	octets, err := proto.Marshal(sized(300, 1))
	if err != nil {
		t.Fatal(err)
	}
	// The octets of a Raw are given away by a stream, and kept by an Encoded.
	raw := weir.NewRaw(octets)
	defer raw.Free()
	octetsOnce := weir.NewEncoded(raw)
	for range 2 {
		s, err := stubOf(c).FullDuplexCall(t.Context())
		if err == nil {
			err = s.SendMsg(octetsOnce)
		}
		var out testpb.SimpleResponse
		if err == nil {
			err = c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, octetsOnce, &out)
		}
		if err != nil || len(out.GetPayload().GetBody()) != 1 {
			t.Errorf("octets that are sent once more: %v, %v", &out, err)
		}
	}
	tallied.compressed.Store(0)
	for _, e := range []any{small, plain, weir.Uncompressed(weir.NewEncoded(sized(5000, 1)))} {
		if err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, e, new(testpb.SimpleResponse), grpc.UseCompressor("tally")); err != nil {
			t.Error(err)
		}
	}
	if n := tallied.compressed.Load(); n != 0 {
		t.Errorf("%d messages were compressed that are too small or not to be", n)
	}
}

// A message to 1,000 streams of 10 connections, from the sender's first SendMsg
// to the last receiver: encoded for each, and once.
func BenchmarkEncoded(b *testing.B) {
	for _, size := range []int{100, 2 << 10, 64 << 10} {
		for _, compressor := range []string{"identity", "gzip"} {
			for _, once := range []bool{false, true} {
				b.Run(fmt.Sprintf("%d octets, %s, once=%t", size, compressor, once), func(b *testing.B) {
					benchmarkEncoded(b, size, compressor, once)
				})
			}
		}
	}
}

func benchmarkEncoded(b *testing.B, size int, compressor string, once bool) {
	h := newHub()
	srv, lis := weir.NewServer(weir.MaxConcurrentStreams(0)), listen(b)
	testpb.RegisterTestServiceServer(srv, h)
	background(b, srv, lis)
	defer h.end()
	var heard sync.WaitGroup
	for range 10 {
		c := newWeirClient(b, lis.Addr().String())
		for range 100 {
			s := listener(b.Context(), b, h, c, grpc.UseCompressor(compressor), grpc.ForceCodec(deaf{}))
			go func() {
				for s.RecvMsg(nil) == nil {
					heard.Done()
				}
			}()
		}
	}
	message := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: noise(size)}}
	b.ReportAllocs()
	for b.Loop() {
		heard.Add(1000)
		var m any = message
		if once {
			m = weir.NewEncoded(message)
		}
		h.tell(m)
		heard.Wait()
	}
}

// deaf is a codec that encodes an empty request, and decodes nothing.
type deaf struct{}

func (deaf) Name() string                { return "proto" }
func (deaf) Marshal(any) ([]byte, error) { return nil, nil }
func (deaf) Unmarshal([]byte, any) error { return nil }

// messageLog keeps the messages of a binary log.
type messageLog struct {
	mu   sync.Mutex
	seen []*pb.Message
}

func (l *messageLog) Write(e *pb.GrpcLogEntry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.GetType() == pb.GrpcLogEntry_EVENT_TYPE_CLIENT_MESSAGE {
		l.seen = append(l.seen, proto.Clone(e.GetMessage()).(*pb.Message))
	}
	return nil
}

func (*messageLog) Close() error { return nil }

// The log of each call has the message as it is before it is compressed.
func TestEncodedIsLogged(t *testing.T) {
	srv, lis := weir.NewServer(), listen(t)
	testpb.RegisterTestServiceServer(srv, newStreamer())
	background(t, srv, lis)
	sink := new(messageLog)
	request := sized(500, 1)
	want, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	e := weir.NewEncoded(request)
	for range 2 {
		c := newWeirClient(t, lis.Addr().String(), weir.WithBinaryLog("*", sink))
		if err := c.Invoke(t.Context(), testpb.TestService_UnaryCall_FullMethodName, e, new(testpb.SimpleResponse), grpc.UseCompressor("gzip")); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.seen) != 2 {
		t.Fatalf("%d messages are logged, want 2", len(sink.seen))
	}
	for _, m := range sink.seen {
		if !bytes.Equal(m.GetData(), want) || m.GetLength() != 500 {
			t.Errorf("%d octets are logged as %d, want %d", m.GetLength(), len(m.GetData()), len(want))
		}
	}
}
