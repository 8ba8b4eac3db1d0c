package binarylog_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/binarylog"
	"github.com/weir-rpc/weir/internal/simnet"
	theirs "google.golang.org/grpc/binarylog"
	pb "google.golang.org/grpc/binarylog/grpc_binarylog_v1"
	"google.golang.org/protobuf/proto"
)

// grpc-go's sinks are sinks here too.
var _ func() (theirs.Sink, error) = theirs.NewTempFileSink
var _ binarylog.Sink = theirs.Sink(nil)

// file is a file in memory.
type file struct {
	mu     sync.Mutex
	b      bytes.Buffer
	fault  error
	closed bool
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return 0, f.fault
	}
	return f.b.Write(p)
}

func (f *file) Close() error { f.closed = true; return nil }

func (f *file) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.b.Len()
}

// What several goroutines write is read again, whole, and is there within a
// second.
func TestSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(file)
		sink := binarylog.NewSink(f)
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				if err := sink.Write(&pb.GrpcLogEntry{CallId: uint64(n)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.size() > 0 {
			t.Errorf("%d octets were written without a buffer", f.size())
		}
		simnet.Advance(time.Second)
		written := f.size()
		if written == 0 {
			t.Error("nothing was written within a second")
		}
		if err := sink.Write(&pb.GrpcLogEntry{CallId: 3}); err != nil {
			t.Error(err)
		}
		if err := sink.Close(); err != nil || !f.closed || f.size() <= written {
			t.Errorf("Close gave %v, closed %v, %d octets after %d", err, f.closed, f.size(), written)
		}
		if sink.Write(&pb.GrpcLogEntry{}) == nil || sink.Close() == nil {
			t.Error("the sink is in use after Close")
		}
		seen := make(map[uint64]bool)
		for range 4 {
			e, err := binarylog.Read(&f.b)
			if err != nil {
				t.Fatal(err)
			}
			seen[e.GetCallId()] = true
		}
		if _, err := binarylog.Read(&f.b); !errors.Is(err, io.EOF) || len(seen) != 4 {
			t.Errorf("after the entries of the calls %v comes %v", seen, err)
		}
	})
}

// Close tells that writing failed.
func TestSink_Fault(t *testing.T) {
	f := &file{fault: errors.New("the disk is full")}
	sink := binarylog.NewSink(f)
	if err := sink.Write(&pb.GrpcLogEntry{CallId: 1}); err != nil {
		t.Errorf("Write into the buffer gave %v", err)
	}
	if err := sink.Close(); !errors.Is(err, f.fault) || !f.closed {
		t.Errorf("Close gave %v, closed %v", err, f.closed)
	}
}

// What grpc-go's sink writes to its file can be read, and is what NewSink writes.
func TestRead_GRPCGo(t *testing.T) {
	t.Setenv("TMPDIR", "") // grpc-go heeds none
	pattern := filepath.Join(os.TempDir(), "grpcgo_binarylog_*")
	old, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	their, err := theirs.NewTempFileSink()
	if err != nil {
		t.Fatal(err)
	}
	f := new(file)
	ours := binarylog.NewSink(f)
	entries := []*pb.GrpcLogEntry{{CallId: 1}, {CallId: 2, Payload: &pb.GrpcLogEntry_Message{Message: &pb.Message{Data: make([]byte, 300)}}}}
	for _, sink := range []binarylog.Sink{their, ours} {
		for _, e := range entries {
			if err := sink.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	found := slices.ContainsFunc(names, func(name string) bool {
		if slices.Contains(old, name) {
			return false
		}
		b, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(b, f.b.Bytes()) {
			return false // of another process
		}
		return os.Remove(name) == nil
	})
	if !found {
		t.Errorf("none of the files %q is like what NewSink has written", names)
	}
	r := bytes.NewReader(f.b.Bytes())
	for _, want := range entries {
		if e, err := binarylog.Read(r); err != nil || !proto.Equal(e, want) {
			t.Errorf("read %v, %v", e, err)
		}
	}
}

// What is no whole entry is told from the end.
func TestRead_Broken(t *testing.T) {
	for _, tt := range []struct {
		octets string
		want   error // nil for any
	}{
		{"", io.EOF},
		{"\x00\x00", io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x05abc", io.ErrUnexpectedEOF},
		{"\xff\xff\xff\xffabc", io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x03abc", nil},
	} {
		if e, err := binarylog.Read(bytes.NewBufferString(tt.octets)); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%q is %v, %v, want %v", tt.octets, e, err, tt.want)
		}
	}
}

// Read makes entries of any octets, or an error, and hardly more memory than there
// are octets: five octets of a negative enum are ten when protobuf writes them.
func FuzzRead(f *testing.F) {
	b, err := proto.Marshal(&pb.GrpcLogEntry{CallId: 7, Payload: &pb.GrpcLogEntry_Message{Message: &pb.Message{Length: 3, Data: []byte("abc")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{0, 0, 0, byte(len(b))}, b...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte("\x00\x00\x00\v \xbf\xbf\x8a\x8a80\xbf000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			e, err := binarylog.Read(r)
			if err != nil {
				return
			}
			if proto.Size(e) > 2*len(b) {
				t.Fatalf("%d octets are an entry of %d", len(b), proto.Size(e))
			}
		}
	})
}
