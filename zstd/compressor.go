package zstd

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// Name is the name in grpc-encoding, and that for grpc.UseCompressor.
const Name = "zstd"

// Config says how to compress, and how much memory decompressing may take. The
// zero value means the defaults.
type Config struct {
	// Level is zstd's, 1 to 22. There are four steps: 1 and 2, 3 to 5, 6 to 9, and
	// 10 and more. Zero means 3. An encoder has tables of 0.3, 1.3, 4 and 34 MiB
	// for these, and there are as many encoders as messages are compressed at a
	// time.
	Level int
	// Window is how far back the compressor looks in a message, in octets: a power
	// of two from 1 KiB to 8 MiB. Zero means 1 MiB. Once a message was as large, an
	// encoder may hold that and half a mebibyte, besides its tables.
	Window int
	// MaxWindow is the largest window of messages that are received, in octets,
	// from 1 KiB to 512 MiB; a message with a larger one is refused before memory
	// is taken for it. Zero means 8 MiB, which every decoder should take (RFC 8878
	// §3.1.1.1.2). Some encoders make a whole message one window: for messages of
	// more than 8 MiB it may have to be as large as they are.
	MaxWindow int
}

func init() {
	c, err := New(Config{})
	if err != nil {
		panic(err)
	}
	encoding.RegisterCompressor(c)
}

// New makes a compressor with another configuration. Register it in the place
// of the default one by encoding.RegisterCompressor, in an init function.
// Several goroutines may use it at a time. New fails with values that are out
// of range.
func New(cfg Config) (encoding.Compressor, error) {
	switch {
	case cfg.Level == 0:
		cfg.Level = 3
	case cfg.Level < 0 || cfg.Level > 22:
		return nil, fmt.Errorf("zstd: Level is %d: it is 1 to 22", cfg.Level)
	}
	if cfg.Window == 0 {
		cfg.Window = 1 << 20
	}
	if cfg.Window < zstd.MinWindowSize || cfg.Window > 8<<20 || cfg.Window&(cfg.Window-1) != 0 {
		return nil, fmt.Errorf("zstd: Window is %d: it is a power of two from 1 KiB to 8 MiB", cfg.Window)
	}
	if cfg.MaxWindow == 0 {
		cfg.MaxWindow = 8 << 20
	}
	if cfg.MaxWindow < zstd.MinWindowSize || cfg.MaxWindow > zstd.MaxWindowSize {
		return nil, fmt.Errorf("zstd: MaxWindow is %d: it is 1 KiB to 512 MiB", cfg.MaxWindow)
	}
	return &compressor{cfg: cfg}, nil
}

type compressor struct {
	cfg      Config
	encoders sync.Pool // *zstd.Encoder
	decoders sync.Pool // *zstd.Decoder
}

// Name implements encoding.Compressor.
func (*compressor) Name() string { return Name }

// Compress implements encoding.Compressor.
func (c *compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	if e, ok := c.encoders.Get().(*zstd.Encoder); ok {
		e.Reset(w)
		return &writer{e, &c.encoders}, nil
	}
	e, err := zstd.NewWriter(w,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(c.cfg.Level)),
		zstd.WithEncoderConcurrency(1), // no goroutines
		zstd.WithWindowSize(c.cfg.Window),
		zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, err
	}
	return &writer{e, &c.encoders}, nil
}

// writer is an encoder that goes back to its pool when it is closed, once: it may
// serve another message then.
type writer struct {
	e    *zstd.Encoder
	pool *sync.Pool
}

// Write compresses more of the message.
func (w *writer) Write(p []byte) (int, error) {
	if w.e == nil {
		return 0, io.ErrClosedPipe
	}
	return w.e.Write(p)
}

// Close ends the message.
func (w *writer) Close() error {
	if w.e == nil {
		return nil
	}
	err := w.e.Close()
	w.e.Reset(nil)
	w.pool.Put(w.e)
	w.e = nil
	return err
}

// Decompress implements encoding.Compressor.
func (c *compressor) Decompress(r io.Reader) (io.Reader, error) {
	d, ok := c.decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if d, err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1), // no goroutines
			zstd.WithDecoderLowmem(true),
			zstd.WithDecodeBuffersBelow(0), // else a short message is decompressed whole, whatever comes of it
			zstd.WithDecoderMaxWindow(uint64(c.cfg.MaxWindow)),
		); err != nil {
			return nil, err
		}
	}
	if err := d.Reset(r); err != nil {
		c.decoders.Put(d)
		return nil, err
	}
	return &reader{d: d, pool: &c.decoders}, nil
}

// reader is a decoder that goes back to its pool at the end of the message, or
// when it is closed: grpc-go closes none. One that is left is garbage.
type reader struct {
	d    *zstd.Decoder
	err  error // with which it went back
	pool *sync.Pool
}

// Read gives more of the message.
func (r *reader) Read(p []byte) (int, error) {
	if r.d == nil {
		return 0, r.err
	}
	n, err := r.d.Read(p)
	if err != nil {
		r.done(err)
	}
	return n, err
}

// Close gives the decoder back.
func (r *reader) Close() error {
	if r.d != nil {
		r.done(io.ErrClosedPipe)
	}
	return nil
}

func (r *reader) done(err error) {
	if r.d.Reset(nil) == nil {
		r.pool.Put(r.d)
	}
	r.d, r.err = nil, err
}
