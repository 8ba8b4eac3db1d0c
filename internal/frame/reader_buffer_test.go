package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// largest is a HEADERS frame of the largest size, which fills a buffer.
func largest(fill byte) []byte {
	return raw(TypeHeaders, FlagEndHeaders, 1, bytes.Repeat([]byte{fill}, DefaultMaxSize)...)
}

// A buffer of MinBuffer is enough for every sequence of frames: there
// is space whenever more octets are needed, and moving what is left of a read
// changes nothing.
func TestSmallestBufferHoldsEveryFrame(t *testing.T) {
	octets := bytes.Join([][]byte{
		AppendPing(nil, false, [8]byte{1}), largest('a'), largest('b'), AppendData(nil, 1, make([]byte, DefaultMaxSize-1), false, 0),
		largest('c'), raw(0x99, 0, 0, make([]byte, DefaultMaxSize)...), largest('d'), AppendPing(nil, true, [8]byte{2}),
	}, nil)
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		most := 1 << (1 + seed%15)
		var r Reader
		r.Lend(make([]byte, MinBuffer))
		var order []byte
		for rest := octets; ; {
			var f Frame
			ok, err := r.Next(&f)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				if len(rest) == 0 {
					break
				}
				space := r.Space()
				if len(space) == 0 {
					t.Fatalf("seed %d: no space with %d octets buffered", seed, r.Buffered())
				}
				n := copy(space[:min(len(space), 1+rnd.IntN(most))], rest)
				r.Filled(n)
				rest = rest[n:]
				continue
			}
			switch f.Type {
			case TypePing:
				order = append(order, '0'+f.PingData[0])
			case TypeHeaders:
				if !bytes.Equal(f.Payload, bytes.Repeat(f.Payload[:1], DefaultMaxSize)) {
					t.Fatalf("seed %d: a changed payload that begins with %q", seed, f.Payload[:20])
				}
				order = append(order, f.Payload[0])
			case TypeData:
				if f.Last {
					order = append(order, '-')
				}
			}
		}
		if string(order) != "1ab-cd2" || r.Buffered() != 0 {
			t.Fatalf("seed %d: %q, %d octets left", seed, order, r.Buffered())
		}
	}
}

// "Implementations MUST discard frames that have unknown or unsupported types."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.5
//
// They go as they come and hold no buffer.
func TestUnknownFramesAreDiscarded(t *testing.T) {
	b := append(raw(0xfe, 0xff, 77, make([]byte, 100)...), AppendPing(nil, false, [8]byte{3})...)
	for cut := HeaderLen; cut <= HeaderLen+100; cut++ {
		var r Reader
		var f Frame
		r.Lend(make([]byte, MinBuffer))
		r.Filled(copy(r.Space(), b[:cut]))
		if ok, err := r.Next(&f); ok || err != nil {
			t.Fatalf("cut at %d: %+v, %v", cut, f, err)
		}
		if r.Reclaim() == nil {
			t.Fatalf("cut at %d: %d octets are kept", cut, r.Buffered())
		}
		r.Lend(bytes.Repeat([]byte{0xee}, MinBuffer))
		r.Prime(b[cut:min(len(b), cut+HeaderLen)])
		r.Filled(copy(r.Space(), b[min(len(b), cut+HeaderLen):]))
		if ok, err := r.Next(&f); !ok || err != nil || f.Type != TypePing || f.PingData[0] != 3 {
			t.Fatalf("cut at %d: %+v, %v", cut, f, err)
		}
		if first, then := r.Passed(), r.Passed(); first != 1 || then != 0 {
			t.Fatalf("cut at %d: %d frames left out, then %d, want 1 and 0", cut, first, then)
		}
	}
}

// "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds
// the size defined in SETTINGS_MAX_FRAME_SIZE"
// https://www.rfc-editor.org/rfc/rfc9113#section-4.2
//
// Row A55: a frame that is longer than what we announced is refused from its
// header, whatever its type.
func TestSizeHoldsForAllTypes(t *testing.T) {
	for typ := range Type(12) {
		faultyHeader(t, Header{Length: DefaultMaxSize + 1, Type: typ, StreamID: 1}, CodeFrameSize, 0)
		faultyHeader(t, Header{Length: MaxMaxSize, Type: typ}, CodeFrameSize, 0)
	}
}

func TestPayloadCannotGrowIntoTheNextFrame(t *testing.T) {
	for _, first := range [][]byte{
		raw(TypeHeaders, FlagEndHeaders, 1, 'x'), AppendData(nil, 1, []byte("x"), false, -1), AppendData(nil, 1, []byte("x"), false, 3),
		raw(TypeHeaders, FlagEndHeaders|FlagPadded, 1, 2, 'x', 0, 0), AppendGoAway(nil, 0, 0, "x"),
	} {
		var r Reader
		var f Frame
		r.Lend(make([]byte, MinBuffer))
		r.Filled(copy(r.Space(), append(first, AppendPing(nil, false, [8]byte{4})...)))
		if ok, err := r.Next(&f); !ok || err != nil || string(f.Payload) != "x" {
			t.Fatalf("%+v, %v", f, err)
		}
		_ = append(f.Payload, bytes.Repeat([]byte{0xff}, 40)...)
		if ok, err := r.Next(&f); !ok || err != nil || f.Type != TypePing || f.PingData[0] != 4 {
			t.Errorf("after a frame of % x: %+v, %v", first, f, err)
		}
	}
}

// WithinFrame tells the wait for the rest of a frame that was begun from the
// wait for another.
func TestWithinFrame(t *testing.T) {
	whole := AppendData(nil, 1, []byte("hello"), false, -1)
	unknown := make([]byte, HeaderLen+3)
	PutHeader(unknown, 3, Type(0x42), 0, 0)
	whole = AppendData(append(whole, unknown...), 1, nil, true, -1)
	between := map[int]bool{0: true, 14: true, 26: true, 35: true}
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	var f Frame
	for n := range len(whole) + 1 {
		if r.Buffered() == 0 && r.WithinFrame() == between[n] {
			t.Errorf("after %d octets WithinFrame is %v", n, r.WithinFrame())
		}
		if n == len(whole) {
			break
		}
		r.Space()[0] = whole[n]
		r.Filled(1)
		for {
			ok, err := r.Next(&f)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
		}
	}
}
