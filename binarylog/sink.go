// Package binarylog keeps binary logs of calls: entries of grpc.binarylog.v1,
// as gRPC's proposal A16 describes them. weir.WithBinaryLog and weir.BinaryLog
// say which calls of a Client and a Server are logged, and where to.
package binarylog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/protobuf/proto"
)

// A Sink takes the entries of a binary log. The sinks of grpc-go's package
// binarylog are Sinks.
type Sink interface {
	// Write takes an entry, which it may keep. Several goroutines may call it at a
	// time, each of them in the middle of a call: what it waits for, the call waits
	// for. Nobody hears of its error: a call goes on without its log.
	Write(entry *pb.GrpcLogEntry) error
	// Close ends the log. Whoever made the Sink calls it, after the Clients and
	// Servers that write to it are closed.
	Close() error
}

// flushInterval is how long an entry waits in a buffer at most.
const flushInterval = time.Second

// errClosed is what Write says after Close.
var errClosed = errors.New("binarylog: the sink is closed")

// NewSink makes a Sink that writes to w in the format of grpc-go's files: each
// entry as protobuf, after its length in four octets, big-endian. It writes
// through a buffer, which is emptied within a second. Its Close closes w, and
// gives the first error of a write. Several goroutines may use it at a time.
func NewSink(w io.WriteCloser) Sink {
	return &writer{to: w, buf: bufio.NewWriter(w)}
}

// writer is the Sink of a file, or of what is like one.
type writer struct {
	mu sync.Mutex
	// Guarded by mu.
	to     io.Closer
	buf    *bufio.Writer
	flush  *time.Timer // runs while the buffer has something; nil before the first entry
	armed  bool
	closed bool
}

func (w *writer) Write(entry *pb.GrpcLogEntry) error {
	size := proto.Size(entry)
	if uint64(size) > math.MaxUint32 {
		return fmt.Errorf("binarylog: an entry of %d octets is too long for its length field (limit messages: {m:…})", size)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+size), uint32(size))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, entry)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	if _, err := w.buf.Write(b); err != nil {
		return err
	}
	switch {
	case w.flush == nil:
		w.flush = time.AfterFunc(flushInterval, w.flushNow)
	case !w.armed:
		w.flush.Reset(flushInterval)
	}
	w.armed = true
	return nil
}

func (w *writer) flushNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if !w.closed {
		_ = w.buf.Flush() // it remembers its error
	}
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.closed = true
	if w.flush != nil {
		w.flush.Stop()
	}
	return errors.Join(w.buf.Flush(), w.to.Close())
}

// Read reads the next entry of what NewSink, or grpc-go, has written. The error
// is io.EOF at the end, and io.ErrUnexpectedEOF in the middle of an entry.
func Read(r io.Reader) (*pb.GrpcLogEntry, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(prefix[:]))
	b, err := io.ReadAll(io.LimitReader(r, length))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) < length {
		return nil, io.ErrUnexpectedEOF
	}
	entry := new(pb.GrpcLogEntry)
	if err := proto.Unmarshal(b, entry); err != nil {
		return nil, fmt.Errorf("binarylog: what was read is no entry: %w", err)
	}
	return entry, nil
}
