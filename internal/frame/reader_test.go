package frame

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// refused is the type of what stands for a frame with a stream-level error.
const refused Type = 0xff

// read reads everything in octets, given to the Reader in pieces of n.
func read(t testing.TB, octets []byte, n int) (frames []Frame, err *Error) {
	t.Helper()
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	for {
		var f Frame
		ok, err := r.Next(&f)
		switch {
		case err != nil && err.StreamID == 0:
			return frames, err
		case err != nil:
			f = Frame{Header: Header{Type: refused, StreamID: err.StreamID}, Code: err.Code, First: true, Last: true}
			frames = append(frames, f)
		case ok:
			f.Payload = slices.Clone(f.Payload)
			frames = append(frames, f)
		default:
			if len(octets) == 0 {
				return frames, nil
			}
			k := copy(r.Space(), octets[:min(n, len(octets))])
			r.Filled(k)
			octets = octets[k:]
		}
	}
}

// merge puts the fragments of DATA frames together.
func merge(frames []Frame) (whole []Frame) {
	for _, f := range frames {
		if f.Type != TypeData || f.First {
			whole = append(whole, f)
			continue
		}
		last := &whole[len(whole)-1]
		last.Payload = append(last.Payload, f.Payload...)
		last.FlowLen += f.FlowLen
		last.Last = f.Last
	}
	return whole
}

// connection is a bit of everything.
func connection() []byte {
	var b []byte
	b = AppendSettings(b, Setting{SettingInitialWindowSize, 1 << 20}, Setting{SettingMaxFrameSize, 1 << 15})
	b = AppendSettingsAck(b)
	b = AppendHeaders(b, 1, []byte("a header block"), false, 5)
	b = AppendData(b, 1, []byte("some data"), false, -1)
	b = AppendData(b, 1, []byte("padded data"), false, 7)
	b = AppendData(b, 1, nil, false, 3)
	b = append(b, 0, 0, 3, 0xfe, 0, 0, 0, 0, 9, 1, 2, 3) // a frame of no known type
	b = AppendPing(b, true, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	b = AppendWindowUpdate(b, 0, 1000)
	b = AppendPriority(b, 3, 1, true, 200)
	b = AppendPushPromise(b, 1, 2, []byte("promised"), true)
	b = AppendRSTStream(b, 3, CodeCancel)
	b = AppendData(b, 1, nil, true, -1)
	return AppendGoAway(b, 1, CodeEnhanceYourCalm, "enough")
}

// Frames are the same however reads cut them.
func TestFramesCutAtEveryOctet(t *testing.T) {
	b := connection()
	want, err := read(t, b, len(b))
	if err != nil {
		t.Fatal(err)
	}
	want = merge(want)
	if len(want) != 15 {
		t.Fatalf("%d frames, want 15", len(want))
	}
	for n := 1; n <= len(b); n++ {
		got, err := read(t, b, n)
		if err != nil {
			t.Fatalf("pieces of %d: %v", n, err)
		}
		got = merge(got)
		if !slices.EqualFunc(got, want, equal) {
			t.Fatalf("pieces of %d:\n got %+v\nwant %+v", n, got, want)
		}
	}
}

func equal(a, b Frame) bool {
	if !bytes.Equal(a.Payload, b.Payload) {
		return false
	}
	a.Payload, b.Payload = nil, nil
	return a.Header == b.Header && a.First == b.First && a.Last == b.Last && a.FlowLen == b.FlowLen &&
		a.HasPriority == b.HasPriority && a.Dependency == b.Dependency && a.PromisedID == b.PromisedID &&
		a.Increment == b.Increment && a.Code == b.Code && a.LastStreamID == b.LastStreamID && a.PingData == b.PingData
}

// Row A80: all of a DATA frame counts for flow control, padding and the octet
// that tells its length included.
func TestDataCountsItsPadding(t *testing.T) {
	for _, n := range []int{1, 3, 1000} {
		frames, err := read(t, AppendData(nil, 1, []byte("hello"), true, 10), n)
		if err != nil {
			t.Fatal(err)
		}
		f := merge(frames)[0]
		if f.FlowLen != int(f.Length) || f.FlowLen != 16 || string(f.Payload) != "hello" || !f.EndStream() {
			t.Errorf("pieces of %d: %+v", n, f)
		}
		for _, g := range frames[:len(frames)-1] {
			if g.EndStream() {
				t.Errorf("pieces of %d: END_STREAM before the last fragment", n)
			}
		}
	}
}

func raw(t Type, fl Flags, id uint32, payload ...byte) []byte {
	return append(appendHeader(nil, len(payload), t, fl, id), payload...)
}

// What a frame gets wrong is found before anything is made of it.
//
// "Receipt of a PING frame with a length field value other than 8 MUST be treated as a connection error"
// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
// https://www.rfc-editor.org/rfc/rfc9113#section-4.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.3
// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9
// https://www.rfc-editor.org/rfc/rfc9113#section-6.10
//
// Row A51: among them, an increment of 0 is an error of its stream, or on stream
// 0 of the connection.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		octets []byte
		code   ErrCode
		stream uint32
	}{
		{"too large", appendHeader(nil, DefaultMaxSize+1, TypeData, 0, 1), CodeFrameSize, 0},
		{"too large, of no known type", appendHeader(nil, DefaultMaxSize+1, 0x20, 0, 1), CodeFrameSize, 0},
		{"DATA on stream 0", raw(TypeData, 0, 0, 1), CodeProtocol, 0},
		{"HEADERS on stream 0", raw(TypeHeaders, FlagEndHeaders, 0), CodeProtocol, 0},
		{"PRIORITY on stream 0", raw(TypePriority, 0, 0, 0, 0, 0, 1, 1), CodeProtocol, 0},
		{"RST_STREAM on stream 0", raw(TypeRSTStream, 0, 0, 0, 0, 0, 1), CodeProtocol, 0},
		{"SETTINGS on stream 1", raw(TypeSettings, 0, 1), CodeProtocol, 0},
		{"PING on stream 1", raw(TypePing, 0, 1, make([]byte, 8)...), CodeProtocol, 0},
		{"GOAWAY on stream 1", raw(TypeGoAway, 0, 1, make([]byte, 8)...), CodeProtocol, 0},
		{"DATA, padding as long as the payload", raw(TypeData, FlagPadded, 1, 3, 0, 0), CodeProtocol, 0},
		{"DATA, padded and empty", raw(TypeData, FlagPadded, 1), CodeFrameSize, 0},
		{"HEADERS, padding too long", raw(TypeHeaders, FlagPadded|FlagEndHeaders, 1, 2, 0), CodeProtocol, 0},
		{"HEADERS, priority cut", raw(TypeHeaders, FlagPriority|FlagEndHeaders, 1, 0, 0, 0, 0), CodeFrameSize, 0},
		{"PRIORITY of 4", raw(TypePriority, 0, 1, 0, 0, 0, 0), CodeFrameSize, 1},
		{"RST_STREAM of 3", raw(TypeRSTStream, 0, 1, 0, 0, 0), CodeFrameSize, 0},
		{"SETTINGS of 5", raw(TypeSettings, 0, 0, 0, 1, 0, 0, 0), CodeFrameSize, 0},
		{"SETTINGS ACK with a payload", raw(TypeSettings, FlagAck, 0, 0, 1, 0, 0, 0, 0), CodeFrameSize, 0},
		{"PUSH_PROMISE of 3", raw(TypePushPromise, FlagEndHeaders, 1, 0, 0, 0), CodeFrameSize, 0},
		{"PING of 7", raw(TypePing, 0, 0, make([]byte, 7)...), CodeFrameSize, 0},
		{"GOAWAY of 7", raw(TypeGoAway, 0, 0, make([]byte, 7)...), CodeFrameSize, 0},
		{"WINDOW_UPDATE of 3", raw(TypeWindowUpdate, 0, 1, 0, 0, 1), CodeFrameSize, 0},
		{"WINDOW_UPDATE of 0 on a stream", raw(TypeWindowUpdate, 0, 5, 0, 0, 0, 0), CodeProtocol, 5},
		{"WINDOW_UPDATE of 0 on the connection", raw(TypeWindowUpdate, 0, 0, 0x80, 0, 0, 0), CodeProtocol, 0},
		{"CONTINUATION of nothing", raw(TypeContinuation, FlagEndHeaders, 1), CodeProtocol, 0},
		{"another frame in a header block", append(raw(TypeHeaders, 0, 1), raw(TypePing, 0, 0, make([]byte, 8)...)...), CodeProtocol, 0},
		{"an unknown frame in a header block", append(raw(TypeHeaders, 0, 1), raw(0x77, 0, 0)...), CodeProtocol, 0},
		{"CONTINUATION of another stream", append(raw(TypeHeaders, 0, 1), raw(TypeContinuation, FlagEndHeaders, 3)...), CodeProtocol, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ping := AppendPing(nil, false, [8]byte{9})
			for _, n := range []int{1, 5, 1000} {
				frames, err := read(t, slices.Concat(tt.octets, ping), n)
				if tt.stream == 0 {
					if err == nil || err.Code != tt.code || err.StreamID != 0 || err.Reason == "" {
						t.Fatalf("pieces of %d: %v, want %v", n, err, tt.code)
					}
					continue
				}
				if err != nil || len(frames) != 2 || frames[0].StreamID != tt.stream || frames[0].Code != tt.code || frames[1].Type != TypePing {
					t.Fatalf("pieces of %d: %+v, %v, want %v on stream %d and then PING", n, frames, err, tt.code, tt.stream)
				}
			}
		})
	}
}

func TestConnectionErrorIsFinal(t *testing.T) {
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	r.Filled(copy(r.Space(), slices.Concat(raw(TypePing, 0, 1, 1), AppendSettingsAck(nil))))
	var f Frame
	_, first := r.Next(&f)
	if _, again := r.Next(&f); first == nil || again != first {
		t.Fatalf("%v, then %v", first, again)
	}
}

// Row A55: what we announce is what we accept.
func TestMaxSize(t *testing.T) {
	var r Reader
	r.SetMaxSize(1<<15, 1<<15)
	r.Lend(make([]byte, HeaderLen+1<<15))
	r.Filled(copy(r.Space(), appendHeader(nil, 1<<15, TypeHeaders, FlagEndHeaders, 1)))
	var f Frame
	if ok, err := r.Next(&f); ok || err != nil {
		t.Fatalf("%v, %v, want to wait for the rest", ok, err)
	}
	r.Filled(len(r.Space()))
	if ok, err := r.Next(&f); !ok || err != nil || len(f.Payload) != 1<<15 {
		t.Fatalf("%v, %v", ok, err)
	}
	for _, tt := range []struct {
		max, whole uint32
		h          Header
		code       ErrCode
	}{
		{1 << 20, 1 << 16, Header{Type: TypeData, StreamID: 1, Length: 1 << 20}, CodeNoError},
		{1 << 20, 1 << 16, Header{Type: TypeData, StreamID: 1, Length: 1<<20 + 1}, CodeFrameSize},
		{1 << 20, 1 << 16, Header{Type: 0x42, Length: 1 << 20}, CodeNoError},
		{1 << 20, 1 << 16, Header{Type: TypeHeaders, StreamID: 1, Length: 1 << 16}, CodeNoError},
		{1 << 20, 1 << 16, Header{Type: TypeHeaders, StreamID: 1, Length: 1<<16 + 1}, CodeEnhanceYourCalm},
		{1 << 20, 1 << 16, Header{Type: TypeGoAway, Length: 1<<16 + 1}, CodeEnhanceYourCalm},
		{1 << 20, 1 << 16, Header{Type: TypeGoAway, Length: 1<<20 + 1}, CodeFrameSize},
		{1 << 15, 1 << 16, Header{Type: TypeHeaders, StreamID: 1, Length: 1<<15 + 1}, CodeFrameSize},
		{1 << 20, 5, Header{Type: TypeHeaders, StreamID: 1, Length: DefaultMaxSize}, CodeNoError},
		{0, 5, Header{Type: TypeHeaders, StreamID: 1, Length: DefaultMaxSize + 1}, CodeFrameSize},
		{MaxMaxSize, MaxMaxSize, Header{Type: TypeHeaders, StreamID: 1, Length: MaxMaxSize}, CodeNoError},
	} {
		var r Reader
		r.SetMaxSize(tt.max, tt.whole)
		r.Lend(make([]byte, MinBuffer))
		r.Filled(copy(r.Space(), appendHeader(nil, int(tt.h.Length), tt.h.Type, tt.h.Flags, tt.h.StreamID)))
		_, err := r.Next(&f)
		if got := err; got == nil && tt.code != CodeNoError || got != nil && (got.Code != tt.code || got.StreamID != 0) {
			t.Errorf("%d and %d: %+v gives %v, want %v", tt.max, tt.whole, tt.h, got, tt.code)
		}
	}
}

// Frames that are larger than the buffer make it grow by what has come already,
// whatever the pieces in which they come; what stands before and behind them
// stays.
func TestBufferGrowsForAFrame(t *testing.T) {
	const size = 10*MinBuffer + 3
	octets := slices.Concat(AppendPing(nil, false, [8]byte{1}), raw(TypeHeaders, FlagEndHeaders, 1, bytes.Repeat([]byte("h"), size)...),
		AppendPing(nil, false, [8]byte{2}), raw(TypeGoAway, 0, 0, make([]byte, 2*MinBuffer)...), AppendData(nil, 1, make([]byte, size), true, 7))
	for _, piece := range []int{1, 1000, MinBuffer, size} {
		var r Reader
		r.SetMaxSize(1<<20, 1<<20)
		r.Lend(make([]byte, MinBuffer))
		var got []string
		largest := MinBuffer
		for rest := octets; ; {
			var f Frame
			ok, err := r.Next(&f)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				if f.Type == TypeHeaders && !bytes.Equal(f.Payload, bytes.Repeat([]byte("h"), size)) {
					t.Fatalf("pieces of %d: another header block of %d octets", piece, len(f.Payload))
				}
				if f.Last {
					got = append(got, f.Type.String())
				}
				continue
			}
			if len(rest) == 0 {
				break
			}
			if n := r.Wants(); n > 0 {
				if n <= largest || n > 2*largest {
					t.Fatalf("pieces of %d: %d octets are wanted in the place of %d", piece, n, largest)
				}
				largest = n
				if old := r.Move(make([]byte, n)); r.Buffered() != len(old) {
					t.Fatalf("pieces of %d: a buffer of %d octets that holds %d is to grow", piece, len(old), r.Buffered())
				}
			}
			space := r.Space()
			n := copy(space[:min(len(space), piece)], rest)
			r.Filled(n)
			rest = rest[n:]
		}
		if want := []string{"PING", "HEADERS", "PING", "GOAWAY", "DATA"}; !slices.Equal(got, want) || r.Buffered() != 0 {
			t.Errorf("pieces of %d: %q and %d octets, want %q", piece, got, r.Buffered(), want)
		}
		if largest != HeaderLen+size {
			t.Errorf("pieces of %d: the buffer grew to %d, want %d", piece, largest, HeaderLen+size)
		}
	}
}

// Row A54: a Reader with nothing to parse gives its buffer back, even within a
// DATA frame, and goes on in another one.
func TestBufferIsReclaimedInTheMiddleOfData(t *testing.T) {
	b := AppendData(nil, 1, bytes.Repeat([]byte("x"), 100), true, -1)
	var r Reader
	var f Frame
	buf := make([]byte, MinBuffer)
	r.Lend(buf)
	if r.Filled(copy(r.Space(), b[:50])); r.Reclaim() != nil {
		t.Fatal("a buffer with octets was reclaimed")
	}
	if ok, _ := r.Next(&f); !ok || f.Last || len(f.Payload) != 41 {
		t.Fatalf("%+v", f)
	}
	if got := r.Reclaim(); &got[0] != &buf[0] {
		t.Fatal("not the buffer that was lent")
	}
	r.Lend(buf)
	r.Prime(b[50:])
	if ok, _ := r.Next(&f); !ok || !f.EndStream() || len(f.Payload) != 59 || r.Buffered() != 0 {
		t.Fatalf("%+v", f)
	}
}

func TestOpeningShowsWhatAPeerBeginsWith(t *testing.T) {
	var r Reader
	r.Lend(make([]byte, MinBuffer))
	r.Filled(copy(r.Space(), "HTTP/1.1 400 Bad Request\r\n"))
	if got := string(r.Opening(nil)); !strings.HasPrefix(got, "HTTP/1.1 400") || len(got) != 24 {
		t.Fatalf("%q", got)
	}
}

func TestNextAndAppendDoNotAllocate(t *testing.T) {
	b := connection()
	want, err := read(t, b, len(b))
	if err != nil {
		t.Fatal(err)
	}
	var r Reader
	r.Lend(make([]byte, 2*MinBuffer))
	var f Frame
	dst := make([]byte, 0, 1<<10)
	p := []byte("fifteen octets.")
	if n := testing.AllocsPerRun(100, func() {
		r.Filled(copy(r.Space(), b))
		for range want {
			if ok, err := r.Next(&f); !ok || err != nil {
				t.Fatal(err)
			}
		}
		if ok, err := r.Next(&f); ok || err != nil {
			t.Fatal(ok, err)
		}
		dst = AppendHeaders(dst[:0], 1, p, true, DefaultMaxSize)
		dst = AppendHeaders(dst, 1, p, true, 4)
		dst = AppendWindowUpdate(AppendRSTStream(AppendPing(dst, true, f.PingData), 1, CodeCancel), 1, 1)
		dst = AppendData(AppendData(dst, 1, p, true, -1), 1, p, false, 9)
		dst = AppendPushPromise(AppendPriority(dst, 1, 3, true, 4), 1, 2, p, true)
		dst = AppendGoAway(AppendSettingsAck(dst), 1, CodeCancel, "debug")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, bm := range []struct {
		name  string
		frame []byte
	}{
		{"DATA", AppendData(nil, 1, make([]byte, 32), true, -1)},
		{"padded DATA", AppendData(nil, 1, make([]byte, 32), true, 8)},
		{"HEADERS", AppendHeaders(nil, 1, make([]byte, 20), false, DefaultMaxSize)},
		{"WINDOW_UPDATE", AppendWindowUpdate(nil, 1, 1000)},
		{"PING", AppendPing(nil, false, [8]byte{})},
	} {
		b.Run(bm.name, func(b *testing.B) {
			const batch = 64
			octets := bytes.Repeat(bm.frame, batch)
			var r Reader
			r.Lend(make([]byte, MinBuffer))
			var f Frame
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ { // a frame an iteration
				if n%batch == 0 {
					r.Filled(copy(r.Space(), octets))
				}
				if ok, err := r.Next(&f); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
