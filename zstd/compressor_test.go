package zstd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func pack(tb testing.TB, c encoding.Compressor, p []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := c.Compress(&b)
	if err != nil {
		tb.Fatal(err)
	}
	for len(p) > 0 { // in pieces, as some write
		n := min(len(p), 100_000)
		if _, err := w.Write(p[:n]); err != nil {
			tb.Fatal(err)
		}
		p = p[n:]
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func unpack(c encoding.Compressor, p []byte) ([]byte, error) {
	r, err := c.Decompress(bytes.NewReader(p))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// text gives n octets of words.
func text(n int) []byte {
	words := strings.Fields("window stream frame peer server client octets credit header trailer deadline metadata")
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+20)
	for len(b) < n {
		b = fmt.Appendf(b, "%s %d ", words[rnd.IntN(len(words))], rnd.IntN(50))
	}
	return b[:n]
}

// Messages of all sizes come back, at all levels, from many goroutines, and
// with nothing left running.
func TestRoundTrip(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, cfg := range []Config{{}, {Level: 1}, {Level: 7, Window: 1 << 10}, {Level: 22, Window: 8 << 20}, {MaxWindow: 1 << 20}} {
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for _, n := range []int{0, 1, 100, 1 << 10, 128 << 10, 1<<20 + 1, 3 << 20} {
					want := text(n)
					packed := pack(t, c, want)
					if got, err := unpack(c, packed); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%+v: %d octets come back as %d, %v", cfg, n, len(got), err)
					}
					if n > 1000 && len(packed) > n*3/4 {
						t.Errorf("%+v: %d octets are %d compressed", cfg, n, len(packed))
					}
				}
			})
		}
		wg.Wait()
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) { // those of wg may take a moment more to end
			t.Fatalf("%d goroutines are left", runtime.NumGoroutine()-before)
		}
	}
}

// The first reader is left before its end, closed or not, and the second has a
// message of its own.
func TestReadersAreLeft(t *testing.T) {
	c := encoding.GetCompressor(Name)
	packed := pack(t, c, text(300_000))
	for _, closed := range []bool{true, false} {
		r, err := c.Decompress(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if closed {
			if err := errors.Join(r.(io.Closer).Close(), r.(io.Closer).Close()); err != nil {
				t.Error(err)
			}
			if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil {
				t.Errorf("%d octets are read behind Close", n)
			}
		}
		if got, err := unpack(c, packed); err != nil || !bytes.Equal(got, text(300_000)) {
			t.Errorf("the next message has %d octets, %v", len(got), err)
		}
	}
}

// A writer that is closed twice, or written to after that, has no part in the next
// messages.
func TestWritersAreClosedTwice(t *testing.T) {
	c := encoding.GetCompressor(Name)
	var first, second, third bytes.Buffer
	closed, err := c.Compress(&first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(closed.Close(), closed.Close()); err != nil {
		t.Error(err)
	}
	a, err := c.Compress(&second)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Compress(&third)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := closed.Write([]byte("late")); n != 0 || err == nil {
		t.Errorf("%d octets are written behind Close", n)
	}
	_, errA := a.Write([]byte("second"))
	_, errB := b.Write([]byte("third"))
	if err := errors.Join(errA, errB, closed.Close(), a.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	for want, buf := range map[string]*bytes.Buffer{"first": &first, "second": &second, "third": &third} {
		if got, err := unpack(c, buf.Bytes()); err != nil || string(got) != want {
			t.Errorf("%q comes back as %q, %v", want, got, err)
		}
	}
}

// An encoder holds what Config says: its tables, and a window of a message that
// was as large.
func TestEncodersHold(t *testing.T) {
	for _, tt := range []struct {
		Config

		size int
		most float64 // MiB
	}{
		{Config{Level: 1}, 100, 0.4},
		{Config{}, 100, 1.5},
		{Config{Level: 7}, 100, 4.5},
		{Config{Level: 22}, 100, 35},
		{Config{Window: 1 << 10}, 3 << 20, 1.3 + 0.5},
		{Config{}, 3 << 20, 1.3 + 1 + 0.75},
		{Config{Window: 8 << 20}, 10 << 20, 1.3 + 8 + 0.75},
	} {
		c, err := New(tt.Config)
		if err != nil {
			t.Fatal(err)
		}
		message := text(tt.size)
		before := heap()
		w, err := c.Compress(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(message); err != nil {
			t.Fatal(err)
		}
		held := (float64(heap()) - float64(before)) / (1 << 20)
		if held > tt.most || held < tt.most/2 {
			t.Errorf("%+v: an encoder holds %.1f MiB, about %.1f are said", tt.Config, held, tt.most)
		}
		runtime.KeepAlive(message)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// heap tells how much of the heap is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what was in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What is cut off, or was never zstd, fails, and the decoder goes on with the
// next message.
func TestBrokenMessages(t *testing.T) {
	c := encoding.GetCompressor(Name)
	packed := pack(t, c, text(5000))
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 0x55
	for name, p := range map[string][]byte{
		"not zstd": []byte("not zstd"), "cut off": packed[:len(packed)-5], "header only": packed[:5], "changed": flipped,
	} {
		if got, err := unpack(c, p); err == nil {
			t.Errorf("%s: %d octets come of it", name, len(got))
		}
		if got, err := unpack(c, packed); err != nil || len(got) != 5000 {
			t.Errorf("behind %s: %d octets, %v", name, len(got), err)
		}
	}
}

// A header that asks for a large window gets no memory, and a small message that
// is large when it is decompressed takes no more than its reader takes.
func TestMemoryIsBounded(t *testing.T) {
	large, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	large.Reset(&b)
	if _, err := large.Write(make([]byte, 1<<20)); err != nil { // so much that its size is not known
		t.Fatal(err)
	}
	if err := errors.Join(large.Flush(), large.Close()); err != nil {
		t.Fatal(err)
	}
	c := encoding.GetCompressor(Name)
	if n := allocated(func() {
		if got, err := unpack(c, b.Bytes()); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
			t.Errorf("a window of 64 MiB: %d octets, %v", len(got), err)
		}
	}); n > 1<<20 {
		t.Errorf("a window that is refused takes %d octets", n)
	}
	wide, err := New(Config{MaxWindow: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpack(wide, b.Bytes()); err != nil || len(got) != 1<<20 {
		t.Errorf("with MaxWindow: %d octets, %v", len(got), err)
	}

	bomb := pack(t, c, make([]byte, 256<<20))
	for name, r := range map[string]io.Reader{"a reader": bytes.NewReader(bomb), "a buffer": bytes.NewBuffer(bytes.Clone(bomb))} {
		if n := allocated(func() {
			d, err := c.Decompress(r)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.CopyN(io.Discard, d, 1<<20); n != 1<<20 || err != nil {
				t.Errorf("%s: %d octets, %v", name, n, err)
			}
		}); n > 24<<20 {
			t.Errorf("%s: a mebibyte of %d compressed octets takes %d", name, len(bomb), n)
		}
	}
}

// allocated tells how many octets f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestConfig(t *testing.T) {
	for word, cfg := range map[string]Config{
		"Level is 23": {Level: 23}, "Level is -1": {Level: -1},
		"Window is 1000": {Window: 1000}, "Window is 3000": {Window: 3000}, "Window is 16777216": {Window: 16 << 20},
		"MaxWindow is 1": {MaxWindow: 1}, "MaxWindow is 1073741824": {MaxWindow: 1 << 30},
	} {
		if c, err := New(cfg); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%+v: %v, %v", cfg, c, err)
		}
	}
}

// grpc-go's client and server agree on it.
func TestWithGRPC(t *testing.T) {
	desc := grpc.ServiceDesc{ServiceName: "test.Echo", Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if md, _ := metadata.FromIncomingContext(ctx); !strings.Contains(fmt.Sprint(md["grpc-accept-encoding"]), Name) {
				return nil, fmt.Errorf("the client accepts %q", md["grpc-accept-encoding"])
			}
			in := new(wrapperspb.BytesValue)
			return in, decode(in)
		},
	}}}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	srv.RegisterService(&desc, nil)
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	c, err := grpc.NewClient("passthrough:///"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []int{0, 100, 2 << 20} {
		out := new(wrapperspb.BytesValue)
		err := c.Invoke(t.Context(), "/test.Echo/Echo", wrapperspb.Bytes(text(n)), out, grpc.UseCompressor(Name))
		if err != nil || !bytes.Equal(out.GetValue(), text(n)) {
			t.Errorf("%d octets: %d come back, %v", n, len(out.GetValue()), err)
		}
	}
}

// Whatever comes, a decoder ends, and what comes of it is what was compressed.
func FuzzDecompress(f *testing.F) {
	c := encoding.GetCompressor(Name)
	for _, n := range []int{0, 1, 1000, 200_000} {
		f.Add(pack(f, c, text(n)))
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x58"))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := c.Decompress(bytes.NewReader(p))
		if err != nil {
			return
		}
		got, err := io.ReadAll(io.LimitReader(r, 4<<20))
		_ = r.(io.Closer).Close()
		if err != nil || len(got) == 4<<20 {
			return
		}
		if again, err := unpack(c, pack(t, c, got)); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%d octets come back as %d, %v", len(got), len(again), err)
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	c := encoding.GetCompressor(Name)
	for _, n := range []int{1 << 10, 64 << 10} {
		p := text(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				w, _ := c.Compress(io.Discard)
				_, _ = w.Write(p)
				_ = w.Close()
			}
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	c := encoding.GetCompressor(Name)
	for _, n := range []int{1 << 10, 64 << 10} {
		packed := pack(b, c, text(n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n))
			r := bytes.NewReader(packed)
			for b.Loop() {
				r.Reset(packed)
				d, _ := c.Decompress(r)
				_, _ = io.Copy(io.Discard, d)
			}
		})
	}
}
