package frame

import (
	"slices"
	"testing"
)

// The frames of one header block stand together. What comes between them ends
// the connection, extensions included.
//
// "A receiver MUST treat the receipt of any other type of frame or a frame on a
// different stream as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
//
// "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or
// CONTINUATION frame without the END_HEADERS flag set."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.10
//
// "extension frames that appear in the middle of a field block (Section 4.3)
// are not permitted; these MUST be treated as a connection error (Section
// 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-5.5
func TestHeaderBlocksAreContiguous(t *testing.T) {
	var (
		headers = AppendHeaders(nil, 1, []byte("whole"), false, DefaultMaxSize)
		open    = raw(TypeHeaders, FlagEndStream, 1, 'o')
		promise = AppendPushPromise(nil, 1, 2, []byte("p"), false)
		more    = AppendContinuation(nil, 1, []byte("m"), false)
		end     = AppendContinuation(nil, 1, []byte("e"), true)
		ping    = AppendPing(nil, false, [8]byte{})
		unknown = raw(0x42, FlagEndHeaders, 1, 1, 2, 3)
	)
	for _, tt := range []struct {
		name   string
		octets [][]byte
		frames int
		sound  bool
	}{
		{"one frame", [][]byte{headers, ping}, 2, true},
		{"two frames", [][]byte{open, end, ping}, 3, true},
		{"four frames", [][]byte{open, more, more, end, headers}, 5, true},
		{"a promise", [][]byte{promise, more, end, ping}, 4, true},
		{"an unknown frame before and after", [][]byte{unknown, open, end, unknown, ping}, 3, true},
		{"nothing to continue", [][]byte{end}, 0, false},
		{"nothing to continue any more", [][]byte{headers, end}, 1, false},
		{"continued after its end", [][]byte{open, end, end}, 2, false},
		{"PING", [][]byte{open, ping}, 1, false},
		{"PING further on", [][]byte{open, more, ping}, 2, false},
		{"DATA", [][]byte{open, AppendData(nil, 1, nil, true, -1)}, 1, false},
		{"HEADERS", [][]byte{open, headers}, 1, false},
		{"PING after a promise", [][]byte{promise, ping}, 1, false},
		{"an unknown frame", [][]byte{open, unknown}, 1, false},
		{"an unknown frame further on", [][]byte{open, more, unknown}, 2, false},
		{"another stream", [][]byte{open, AppendContinuation(nil, 3, nil, true)}, 1, false},
		{"the promised stream", [][]byte{promise, AppendContinuation(nil, 2, nil, true)}, 1, false},
		{"stream 0", [][]byte{open, raw(TypeContinuation, FlagEndHeaders, 0)}, 1, false},
		{"a frame for which only its stream would end", [][]byte{open, raw(TypePriority, 0, 1, 0)}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 10, 1000} {
				frames, err := read(t, slices.Concat(tt.octets...), n)
				if len(frames) != tt.frames || (err == nil) != tt.sound {
					t.Fatalf("pieces of %d: %d frames, %v, want %d", n, len(frames), err, tt.frames)
				}
				if !tt.sound && (err.Code != CodeProtocol || err.StreamID != 0) {
					t.Fatalf("pieces of %d: %v, want PROTOCOL_ERROR for the connection", n, err)
				}
			}
		})
	}
}

func TestAppendContinuation(t *testing.T) {
	appended(t, func(b []byte) []byte { return AppendContinuation(b, 300, []byte("rest"), false) }, wire(0, 0, 4, 9, 0, 0, 0, 1, 44, "rest"))
	appended(t, func(b []byte) []byte { return AppendContinuation(b, 300, nil, true) }, wire(0, 0, 0, 9, 4, 0, 0, 1, 44))
}
