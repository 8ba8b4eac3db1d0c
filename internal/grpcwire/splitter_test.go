package grpcwire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// message is what comes out of a Splitter.
type message struct {
	compressed bool
	payload    []byte
}

func appendMessage(b []byte, m message) []byte {
	var prefix [PrefixLen]byte
	PutPrefix(prefix[:], m.compressed, len(m.payload))
	return append(append(b, prefix[:]...), m.payload...)
}

// split feeds s with data, cut as cut says, and holds it to its contract.
func split(t *testing.T, s *Splitter, data []byte, cut func(rest int) int) (got []message, err error) {
	t.Helper()
	for len(data) > 0 {
		p := data[:cut(len(data))]
		data = data[len(p):]
		for len(p) > 0 {
			before := s.Missing()
			part, n, err := s.Next(p)
			if err != nil {
				return got, err
			}
			if n < 1 || n > len(p) || len(part.Payload) > n {
				t.Fatalf("Next took %d of %d octets and gives %d", n, len(p), len(part.Payload))
			}
			if part.Begin {
				got = append(got, message{compressed: part.Compressed, payload: []byte{}})
				if part.Size != s.Missing()+uint32(len(part.Payload)) {
					t.Fatalf("a message of %d octets lacks %d after %d", part.Size, s.Missing(), len(part.Payload))
				}
			} else if len(part.Payload) > 0 && before != s.Missing()+uint32(len(part.Payload)) {
				t.Fatalf("a message lacked %d octets, got %d and lacks %d", before, len(part.Payload), s.Missing())
			}
			if len(part.Payload) > 0 {
				last := &got[len(got)-1]
				last.payload = append(last.payload, part.Payload...)
			}
			if part.End != (len(got) > 0 && s.Missing() == 0) {
				t.Fatalf("end %t with %d octets missing", part.End, s.Missing())
			}
			p = p[n:]
		}
	}
	return got, nil
}

func wantMessages(t *testing.T, got, want []message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].compressed != want[i].compressed || !bytes.Equal(got[i].payload, want[i].payload) {
			t.Errorf("message %d: compressed %t, %q; want %t, %q", i, got[i].compressed, got[i].payload, want[i].compressed, want[i].payload)
		}
	}
}

// "DATA frame boundaries have no relation to Length-Prefixed-Message
// boundaries and implementations should make no assumptions about their
// alignment."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#data-frames
func TestSplitterAnyCut(t *testing.T) {
	want := []message{{false, []byte("a")}, {true, []byte("compressed")}, {false, nil}, {true, nil}, {false, bytes.Repeat([]byte("long "), 20)}}
	var data []byte
	for _, m := range want {
		data = appendMessage(data, m)
	}
	for first := range data {
		for size := 1; size < 30; size++ {
			var s Splitter
			cut := first
			got, err := split(t, &s, data, func(rest int) int {
				n := min(cut, rest)
				cut = size
				return n
			})
			if err != nil {
				t.Fatal(err)
			}
			wantMessages(t, got, want)
			if s.Missing() != 0 {
				t.Fatalf("after the last message %d octets are missing", s.Missing())
			}
		}
	}
}

func TestSplitterMissing(t *testing.T) {
	data := appendMessage(nil, message{payload: []byte("abc")})
	var s Splitter
	for i, want := range []uint32{4, 3, 2, 1, 3, 2, 1, 0} {
		if _, n, err := s.Next(data[i : i+1]); n != 1 || err != nil {
			t.Fatalf("octet %d: %d, %v", i, n, err)
		}
		if got := s.Missing(); got != want {
			t.Errorf("after octet %d: %d are missing, want %d", i, got, want)
		}
	}
}

func TestSplitterLargestMessage(t *testing.T) {
	var s Splitter
	part, n, err := s.Next([]byte{1, 0xff, 0xff, 0xff, 0xff, 'x'})
	if err != nil || n != 6 || !part.Begin || !part.Compressed || part.Size != 1<<32-1 || string(part.Payload) != "x" || part.End {
		t.Errorf("%+v, %d, %v", part, n, err)
	}
	if s.Missing() != 1<<32-2 {
		t.Errorf("%d octets are missing", s.Missing())
	}
}

func TestSplitterFaultStays(t *testing.T) {
	var s Splitter
	data := append(appendMessage(nil, message{payload: []byte("good")}), 2, 0, 0, 0, 0, 'x')
	got, err := split(t, &s, data, func(rest int) int { return rest })
	wantMessages(t, got, []message{{false, []byte("good")}})
	if err == nil {
		t.Fatal("a flag of 2 is accepted")
	}
	if _, n, again := s.Next([]byte{0, 0, 0, 0, 0}); n != 0 || again == nil || again.Error() != err.Error() {
		t.Errorf("after the fault: %d octets taken, %v", n, again)
	}
}

func TestSplitterDoesNotAllocate(t *testing.T) {
	data := appendMessage(appendMessage(nil, message{payload: []byte("one")}), message{payload: []byte("two")})
	var s Splitter
	if n := testing.AllocsPerRun(100, func() {
		for p := data; len(p) > 0; {
			_, n, err := s.Next(p)
			if err != nil {
				t.Error(err)
			}
			p = p[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Any octets, cut in any way, are the same messages, or fail after the same
// ones.
func FuzzSplitter(f *testing.F) {
	f.Add(appendMessage(appendMessage(nil, message{true, []byte("first")}), message{}), uint64(1))
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 'a', 'b'}, uint64(2))
	f.Add([]byte{3, 0, 0, 0, 0}, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var whole, cut Splitter
		want, wantErr := split(t, &whole, data, func(rest int) int { return rest })
		got, err := split(t, &cut, data, func(rest int) int { return 1 + rnd.IntN(min(rest, 9)) })
		wantMessages(t, got, want)
		if (err == nil) != (wantErr == nil) || whole.Missing() != cut.Missing() {
			t.Fatalf("%v, %d missing; in one piece %v, %d missing", err, cut.Missing(), wantErr, whole.Missing())
		}
		if err == nil && whole.Missing() == 0 {
			var again []byte
			for _, m := range got {
				again = appendMessage(again, m)
			}
			if !bytes.Equal(again, data) {
				t.Fatalf("% x comes back as % x", data, again)
			}
		}
	})
}
