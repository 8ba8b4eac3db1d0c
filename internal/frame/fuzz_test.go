package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"golang.org/x/net/http2"
)

// FuzzReaderAgainstFramer gives the same octets to the Reader, in pieces, and
// to x/net's framer: both see the same frames and refuse the same ones. Where
// they differ on purpose, a comment says so.
func FuzzReaderAgainstFramer(f *testing.F) {
	f.Add(connection(), byte(3))
	f.Add(AppendData(nil, 1, []byte("x"), true, 200), byte(1))
	f.Add(raw(TypeHeaders, FlagPadded|FlagPriority|FlagEndHeaders, 1, 1, 0, 0, 0, 0, 9, 'h', 0), byte(2))
	f.Add(append(raw(TypeHeaders, 0, 1), raw(TypeContinuation, 0, 1, 'x')...), byte(7))
	f.Fuzz(func(t *testing.T, octets []byte, piece byte) {
		got, err := read(t, octets, int(piece)+1)
		got = merge(got)
		rest := bytes.NewReader(octets)
		fr := http2.NewFramer(nil, rest)
		fr.SetMaxReadFrameSize(DefaultMaxSize)
		for _, g := range got {
			if g.Type == TypePushPromise && !g.Flags.Has(FlagEndHeaders) {
				return // x/net does not mind what comes in the middle of its header block
			}
			want, ferr := nextKnown(fr, rest)
			if g.Type == TypeData && !g.Last {
				return // the octets end in the middle of a frame
			}
			var se http2.StreamError
			switch {
			case g.Type == refused && errors.As(ferr, &se) && se.StreamID == g.StreamID:
				continue // both refuse it, for its stream alone
			case g.Type == refused && ferr != nil && g.Code == CodeFrameSize:
				return // a PRIORITY of another length than 5 ends the connection there
			case g.Type == TypeSettings && ferr != nil && faulty(g.Payload):
				return // here that is Setting.Check's business
			case ferr != nil:
				t.Fatalf("x/net refuses %+v: %v", g, ferr)
			}
			compare(t, g, want)
		}
		if err != nil {
			// A header is judged before its payload is there, x/net waits for both.
			if code, ok := refusal(octets, len(got)); !ok || code != err.Code {
				t.Fatalf("x/net says %v (refused: %t) to what is refused here with %v", code, ok, err)
			}
			return
		}
		want, ferr := nextKnown(fr, rest)
		if !errors.Is(ferr, io.EOF) && !errors.Is(ferr, io.ErrUnexpectedEOF) {
			t.Fatalf("x/net goes on with %v, %v", want, ferr)
		}
	})
}

// refusal gives the code with which x/net refuses the frame after the first n,
// its payload filled up with zeros.
func refusal(octets []byte, n int) (ErrCode, bool) {
	rest := bytes.NewReader(append(bytes.Clone(octets), make([]byte, DefaultMaxSize)...))
	fr := http2.NewFramer(nil, rest)
	fr.SetMaxReadFrameSize(DefaultMaxSize)
	for range n {
		nextKnown(fr, rest)
	}
	var ce http2.ConnectionError
	var se http2.StreamError
	_, err := nextKnown(fr, rest)
	switch {
	case errors.As(err, &ce):
		return ErrCode(ce), true
	case errors.As(err, &se): // HEADERS with too much padding: RFC 9113 ends the connection, §6.2
		return ErrCode(se.Code), true
	case errors.Is(err, http2.ErrFrameTooLarge), errors.Is(err, io.ErrUnexpectedEOF): // x/net names no code
		return CodeFrameSize, true
	}
	return CodeNoError, err != nil
}

// faulty reports whether a SETTINGS payload has a value that Check refuses.
func faulty(payload []byte) bool {
	for s := range Settings(payload) {
		if s.Check() != nil {
			return true
		}
	}
	return false
}

// nextKnown gives the next frame of a type of RFC 9113. x/net knows more, and
// checks them: here they are passed over.
func nextKnown(fr *http2.Framer, rest io.Reader) (http2.Frame, error) {
	for {
		h, err := fr.ReadFrameHeader()
		if err != nil {
			return nil, err
		}
		if h.Type <= http2.FrameContinuation {
			return fr.ReadFrameForHeader(h)
		}
		if _, err := io.CopyN(io.Discard, rest, int64(h.Length)); err != nil {
			return nil, err
		}
	}
}

func compare(t *testing.T, g Frame, want http2.Frame) {
	t.Helper()
	h := want.Header()
	if uint8(g.Type) != uint8(h.Type) || uint8(g.Flags) != uint8(h.Flags) || g.StreamID != h.StreamID || g.Length != h.Length {
		t.Fatalf("got %+v, x/net has %v", g.Header, h)
	}
	same := true
	switch w := want.(type) {
	case *http2.DataFrame:
		same = bytes.Equal(g.Payload, w.Data()) && g.FlowLen == int(h.Length) && g.EndStream() == w.StreamEnded()
	case *http2.HeadersFrame:
		same = bytes.Equal(g.Payload, w.HeaderBlockFragment()) && g.HasPriority == w.HasPriority() && g.Dependency == w.Priority.StreamDep
	case *http2.ContinuationFrame:
		same = bytes.Equal(g.Payload, w.HeaderBlockFragment())
	case *http2.PriorityFrame:
		same = g.Dependency == w.StreamDep
	case *http2.RSTStreamFrame:
		same = uint32(g.Code) == uint32(w.ErrCode)
	case *http2.SettingsFrame:
		i := 0
		for s := range Settings(g.Payload) {
			ws := w.Setting(i)
			same = same && uint16(s.ID) == uint16(ws.ID) && s.Value == ws.Val
			i++
		}
		same = same && i == w.NumSettings()
	case *http2.PushPromiseFrame:
		same = g.PromisedID == w.PromiseID && bytes.Equal(g.Payload, w.HeaderBlockFragment())
	case *http2.PingFrame:
		same = g.PingData == w.Data
	case *http2.GoAwayFrame:
		same = g.LastStreamID == w.LastStreamID && uint32(g.Code) == uint32(w.ErrCode) && bytes.Equal(g.Payload, w.DebugData())
	case *http2.WindowUpdateFrame:
		same = g.Increment == w.Increment
	}
	if !same {
		t.Fatalf("got %+v, x/net has %v", g, want)
	}
}

// FuzzAppendersAgainstFramer appends frames of what the octets say: x/net reads
// them back as they were meant.
func FuzzAppendersAgainstFramer(f *testing.F) {
	f.Add(uint32(1), uint32(7), []byte("payload"), byte(4), true)
	f.Add(uint32(1<<31-1), uint32(1<<31-1), bytes.Repeat([]byte("x"), 300), byte(255), false)
	f.Fuzz(func(t *testing.T, id, v uint32, p []byte, pad byte, flag bool) {
		if id &= streamMask; id == 0 || len(p) > DefaultMaxSize-300 {
			return
		}
		inc := max(v&streamMask, 1)
		var data [8]byte
		binary.BigEndian.PutUint32(data[:], v)
		size := uint32(pad) + 1
		b := AppendData(nil, id, p, flag, int(pad))
		b = AppendData(b, id, p, flag, -1)
		b = AppendHeaders(b, id, p, flag, size)
		b = AppendRSTStream(b, id, ErrCode(v))
		b = AppendSettings(b, Setting{SettingID(pad), v})
		b = AppendPing(b, flag, data)
		b = AppendGoAway(b, id, ErrCode(v), string(p))
		b = AppendWindowUpdate(b, id, inc)
		b = AppendPriority(b, id, v&streamMask, flag, pad)
		b = AppendPushPromise(b, id, inc, p, true)
		b = append(b, raw(TypeHeaders, 0, id)...)
		b = AppendContinuation(b, id, p, true)
		fr := http2.NewFramer(nil, bytes.NewReader(b))
		next := func() http2.Frame {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		for range 2 {
			if d := next().(*http2.DataFrame); !bytes.Equal(d.Data(), p) || d.StreamEnded() != flag || d.StreamID != id {
				t.Fatalf("DATA %v", d)
			}
		}
		h := next().(*http2.HeadersFrame)
		block, ended := bytes.Clone(h.HeaderBlockFragment()), h.HeadersEnded()
		for !ended {
			c := next().(*http2.ContinuationFrame)
			if c.Length > size {
				t.Fatalf("CONTINUATION of %d octets, the largest is %d", c.Length, size)
			}
			block, ended = append(block, c.HeaderBlockFragment()...), c.HeadersEnded()
		}
		if !bytes.Equal(block, p) || h.StreamEnded() != flag || h.Length > size {
			t.Fatalf("HEADERS %v", h)
		}
		if r := next().(*http2.RSTStreamFrame); uint32(r.ErrCode) != v {
			t.Fatalf("RST_STREAM %v", r)
		}
		if s := next().(*http2.SettingsFrame); s.NumSettings() != 1 || uint16(s.Setting(0).ID) != uint16(pad) || s.Setting(0).Val != v {
			t.Fatalf("SETTINGS %v", s)
		}
		if p := next().(*http2.PingFrame); p.Data != data || p.IsAck() != flag {
			t.Fatalf("PING %v", p)
		}
		if g := next().(*http2.GoAwayFrame); g.LastStreamID != id || uint32(g.ErrCode) != v || !bytes.Equal(g.DebugData(), p) {
			t.Fatalf("GOAWAY %v", g)
		}
		if w := next().(*http2.WindowUpdateFrame); w.Increment != inc {
			t.Fatalf("WINDOW_UPDATE %v", w)
		}
		if r := next().(*http2.PriorityFrame); r.StreamDep != v&streamMask || r.Exclusive != flag || r.Weight != pad {
			t.Fatalf("PRIORITY %v", r)
		}
		if r := next().(*http2.PushPromiseFrame); r.PromiseID != inc || !bytes.Equal(r.HeaderBlockFragment(), p) {
			t.Fatalf("PUSH_PROMISE %v", r)
		}
		next()
		if c := next().(*http2.ContinuationFrame); !bytes.Equal(c.HeaderBlockFragment(), p) || !c.HeadersEnded() {
			t.Fatalf("CONTINUATION %v", c)
		}
	})
}
