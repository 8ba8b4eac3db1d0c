package frame

import (
	"fmt"
	"strings"
	"testing"
)

// What no correct caller does is found where it is done.
func TestBugsPanic(t *testing.T) {
	lent := func() *Reader {
		r := new(Reader)
		r.Lend(make([]byte, MinBuffer))
		return r
	}
	for name, f := range map[string]func(){
		"a length of 25 bits":             func() { PutHeader(make([]byte, HeaderLen), MaxMaxSize+1, TypeData, 0, 1) },
		"a length below 0":                func() { PutHeader(make([]byte, HeaderLen), -1, TypeData, 0, 1) },
		"an id of 32 bits":                func() { PutHeader(make([]byte, HeaderLen), 1, TypeData, 0, 1<<31) },
		"DATA on stream 0":                func() { AppendData(nil, 0, nil, true, -1) },
		"padding of 256":                  func() { AppendData(nil, 1, nil, true, 256) },
		"HEADERS on stream 0":             func() { AppendHeaders(nil, 0, nil, true, DefaultMaxSize) },
		"HEADERS of no size":              func() { AppendHeaders(nil, 1, []byte("x"), true, 0) },
		"CONTINUATION on stream 0":        func() { AppendContinuation(nil, 0, nil, true) },
		"PRIORITY on stream 0":            func() { AppendPriority(nil, 0, 1, false, 0) },
		"PRIORITY on no stream":           func() { AppendPriority(nil, 1, 1<<31, false, 0) },
		"RST_STREAM on stream 0":          func() { AppendRSTStream(nil, 0, CodeCancel) },
		"PUSH_PROMISE on stream 0":        func() { AppendPushPromise(nil, 0, 2, nil, true) },
		"PUSH_PROMISE of stream 0":        func() { AppendPushPromise(nil, 1, 0, nil, true) },
		"GOAWAY with a stream of 32 bits": func() { AppendGoAway(nil, 1<<31, CodeNoError, "") },
		"WINDOW_UPDATE of 0":              func() { AppendWindowUpdate(nil, 1, 0) },
		"WINDOW_UPDATE of 2^31":           func() { AppendWindowUpdate(nil, 1, 1<<31) },
		"two buffers":                     func() { lent().Lend(make([]byte, MinBuffer)) },
		"a small buffer":                  func() { new(Reader).Lend(make([]byte, MinBuffer-1)) },
		"a move without a buffer":         func() { new(Reader).Move(make([]byte, MinBuffer)) },
		"a move to a smaller buffer":      func() { lent().Move(make([]byte, MinBuffer-1)) },
		"a size that nobody may announce": func() { new(Reader).SetMaxSize(DefaultMaxSize-1, 0) },
		"a size of 25 bits":               func() { new(Reader).SetMaxSize(MaxMaxSize+1, 0) },
		"more octets than space":          func() { lent().Filled(MinBuffer + 1) },
		"fewer octets than none":          func() { lent().Filled(-1) },
		"octets without a buffer":         func() { new(Reader).Filled(1) },
		"a beginning after the beginning": func() { r := lent(); r.Filled(1); r.Prime([]byte{1}) },
		"a beginning of too many octets":  func() { lent().Prime(make([]byte, MinBuffer+1)) },
		"a beginning without a buffer":    func() { new(Reader).Prime([]byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG:") {
					t.Errorf("%s, want a panic that says BUG:", got)
				}
			}()
			f()
		})
	}
}
