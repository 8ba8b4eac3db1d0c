package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

func TestPagesAndFrames(t *testing.T) {
	sizes := []int{0, 1, 100, pageSize - headLen, pageSize, readSize - headLen, readSize - headLen + 1, 1 << 20, 5}
	var out pages
	for round := range 3 { // pages are used again
		for i, size := range sizes {
			out.begin(uint64(i), size)
			out.tail = append(out.tail, benchpb.Fill(uint64(i+round), size)...)
		}
		some := out.take()
		if !out.empty() || len(some) < 2 {
			t.Fatalf("%d pages were taken, and none left is %t", len(some), out.empty())
		}
		wire := bytes.Join(some, nil)
		out.giveBack(some)
		in := newFrames(bytes.NewReader(wire))
		for i, size := range sizes {
			id, body, err := in.next()
			if err != nil {
				t.Fatalf("frame of %d octets: %v", size, err)
			}
			if id != uint64(i) || !bytes.Equal(body, benchpb.Fill(uint64(i+round), size)) {
				t.Errorf("frame %d of %d octets came as %d of %d", i, size, id, len(body))
			}
			if last := i == len(sizes)-1; in.more() == last && size < 1<<10 {
				t.Errorf("after frame %d: more is %t", i, in.more())
			}
		}
		if _, _, err := in.next(); !errors.Is(err, io.EOF) {
			t.Errorf("after all frames: %v, want EOF", err)
		}
		for _, cut := range []int{1, headLen + 1 + headLen - 1, len(wire) - 1} {
			in := newFrames(bytes.NewReader(wire[:cut]))
			var err error
			for err == nil {
				_, _, err = in.next()
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut after %d octets: %v, want an unexpected EOF", cut, err)
			}
		}
	}
	if len(out.free) == 0 || len(out.free) > kept {
		t.Errorf("%d pages are kept, want some and %d at most", len(out.free), kept)
	}
}

// TestFramesWiden: a buffer that becomes larger between two frames loses none of
// what it has.
func TestFramesWiden(t *testing.T) {
	sizes := []int{100, readSize/4 - headLen, 7, readSize/4 - headLen + 1, 7, wideSize / 4, 1 << 20, 3}
	var out pages
	for i, size := range sizes {
		out.begin(uint64(i), size)
		out.tail = append(out.tail, benchpb.Fill(uint64(i), size)...)
	}
	in := newFrames(bytes.NewReader(bytes.Join(out.take(), nil)))
	for i, size := range sizes {
		id, body, err := in.next()
		if err != nil || id != uint64(i) || !bytes.Equal(body, benchpb.Fill(uint64(i), size)) {
			t.Fatalf("frame %d of %d octets came as %d of %d, %v", i, size, id, len(body), err)
		}
		if wide := in.r.Size() == wideSize; wide != (i >= 3) {
			t.Errorf("after frame %d of %d octets the buffer has %d", i, size, in.r.Size())
		}
	}
	if _, _, err := in.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after all frames: %v, want EOF", err)
	}
}

// TestWholeFrames: a frame is whole when its last octet is there.
func TestWholeFrames(t *testing.T) {
	var out pages
	out.begin(1, 0)
	out.begin(2, 10)
	out.tail = append(out.tail, "0123456789"...)
	wire := out.tail
	for cut := headLen; cut <= len(wire); cut++ {
		in := newFrames(bytes.NewReader(wire[:cut]))
		if _, _, err := in.next(); err != nil {
			t.Fatal(err)
		}
		if got, want := in.whole(), cut == len(wire); got != want {
			t.Errorf("with %d octets of %d: whole is %t", cut, len(wire), got)
		}
	}
}

func TestFramesAreBounded(t *testing.T) {
	var out pages
	out.begin(1, MaxMessage+1)
	if _, _, err := newFrames(bytes.NewReader(out.tail)).next(); err == nil || !strings.Contains(err.Error(), "expected frames up to") {
		t.Errorf("error %v", err)
	}
}

func TestRawCodecs(t *testing.T) {
	for _, c := range []rawCodec{octets{}, protobuf{}} {
		t.Run(fmt.Sprintf("%T", c), func(t *testing.T) {
			for _, size := range []int{0, 32, 1 << 16} {
				payload := benchpb.Fill(9, size)
				m := &benchpb.Message{Sequence: 77, Payload: payload}
				n := c.size(m)
				body, err := c.append(nil, m)
				if err != nil || len(body) != n {
					t.Fatalf("%d octets and %v, want %d", len(body), err, n)
				}
				answer, err := c.echo(nil, body)
				if err != nil || len(answer) != n {
					t.Fatalf("%d octets of an answer and %v, want %d", len(answer), err, n)
				}
				reply, err := c.decode(answer)
				if err != nil {
					t.Fatal(err)
				}
				clear(answer)
				if err := benchpb.Check(reply, 77, payload); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.decode([]byte{0xff}); err == nil {
				t.Error("a broken body is decoded")
			}
		})
	}
}

// TestRawConnectionsThatFail: all calls end, now and later.
func TestRawConnectionsThatFail(t *testing.T) {
	for name, answer := range map[string]func(id uint64) pages{
		"no call has the id": func(id uint64) pages { var p pages; p.begin(id+1000, 0); return p },
		"broken body":        func(id uint64) pages { var p pages; p.begin(id, 1); p.tail = append(p.tail, 0xff); return p },
		"closed":             func(uint64) pages { return pages{} },
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			go func() {
				nc, err := lis.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				if id, _, err := newFrames(nc).next(); err == nil {
					p := answer(id)
					nc.Write(p.tail)
				}
			}()
			client, err := dialRaw(lis.Addr().String(), Config{}, octets{})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			var calls sync.WaitGroup
			for range 8 {
				calls.Go(func() {
					if _, err := client.Echo(t.Context(), new(benchpb.Message)); err == nil {
						t.Error("a call over a broken connection succeeds")
					}
				})
			}
			calls.Wait()
			if _, err := client.Echo(t.Context(), new(benchpb.Message)); err == nil {
				t.Error("a call after that succeeds")
			}
		})
	}
}
