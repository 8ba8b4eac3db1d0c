package transport

import "slices"

// newest names the stream that opHeaders and opCall of a client open.
const newest = 255

// serverSeeds are scripts of FuzzServerConn: two octets that choose the
// server's windows and how the connection ends, then operations.
var serverSeeds = scripts(
	"quiet", "\x00\x00",
	"calls", []byte{0, 1, opAck, opCall, 0, 1, opCall, 0, 0, opCall, 3, 2, opCall, 0, 255},
	"a stream, its messages cut and padded", []byte{1, 2,
		opHeaders, newest, 1, 0, opMessage, 0, 10, 10, shapeSplit, opMessage, 0, 20, 20, shapePadded, opMessage, 0, 0, 0, 0, opMessage, 0, 5, 5, shapeEnd},
	"streams beside each other", []byte{2, 3, opHold, 9,
		opHeaders, newest, 1, 0, opHeaders, newest, 2, shapeEnd, opHeaders, newest, 4, shapeEnd, opMessage, 1, 9, 9, 0,
		opMessage, 2, 100, 100, 0, opCredit, 1, 1, 255, opCredit, 0, 255, opReset, 1, 8, opMessage, 2, 1, 1, shapeEnd},
	"a header block in two frames, padded, with a priority", []byte{3, 0, opHeaders, newest, 9, shapeSplit | shapePadded | shapePriority, opMessage, 0, 1, 1, shapeEnd},
	"deadlines", []byte{0, 2, opHeaders, newest, 5, 0, opMessage, 0, 1, 1, 0, opHeaders, newest, 6, shapeEnd, opHeaders, newest, 7, shapeEnd, opTime, 10, opTime, 30},
	"what is refused", []byte{0, 0, opCall, 8, 0, opCall, 10, 0, opCall, 11, 1, opCall, 12, 1, opCall, 13, 1, opCall, 14, 1, opCall, 15, 1,
		opCall, 16, 1, opCall, 17, 1, opCall, 18, 1, opCall, 19, 1, opCall, 20, 1},
	"too many streams", []byte{0, 2, opHold, 20, opHeaders, newest, 4, shapeEnd, opRepeat, 1, opHeaders, newest, 4, 0, opHeaders, newest, 4, 0,
		opHeaders, newest, 4, 0, opHeaders, newest, 1, 0, opCall, 0, 3, opCall, 0, 3},
	"rapid reset", slices.Concat([]byte{0, 1, opHold, 100}, slices.Repeat([]byte{opHeaders, newest, 4, shapeEnd, opReset, 0, 8}, 40)),
	"reset by WINDOW_UPDATE", slices.Concat([]byte{0, 1, opHold, 100}, slices.Repeat([]byte{opHeaders, newest, 1, 0, opCredit, 1, 0, 0}, 40)),
	"PING flood to a peer that does not read", []byte{0, 1, opHeaders, newest, 2, shapeEnd, opCredit, 0, 9, opStall, 1, opPing, 1, opRepeat, 255, opRepeat, 255, opStall, 0},
	"SETTINGS flood", []byte{0, 1, opSettings, 2, 4, 0, 4, 7, opRepeat, 255, opSettings, 0, opRepeat, 255},
	"CONTINUATION flood", []byte{0, 1, opHeaders, newest, 0, shapeOpen, opRaw, 9, 0, 0, 2, 0, 0, opRepeat, 255},
	"another frame in a header block", []byte{0, 1, opHeaders, newest, 0, shapeOpen, opPing, 1},
	"empty DATA", []byte{0, 1, opHeaders, newest, 1, 0, opData, 0, 0, 0, opRepeat, 255, opData, 0, 0, shapeEnd},
	"one octet DATA", []byte{0, 1, opHeaders, newest, 1, 0, opMessage, 0, 255, 8, shapeSplit, opData, 0, 1, 0, 0, opRepeat, 255},
	"windows at zero, below and at the top", []byte{0, 3, opSettings, 1, 4, 0, opHeaders, newest, 2, shapeEnd, opSettings, 1, 4, 5, opSettings, 1, 4, 0,
		opCredit, 1, 0, 4, opSettings, 1, 4, 7, opSettings, 1, 4, 12, opCredit, 1, 0, 1},
	"an overrun of the connection's window", []byte{2, 1, opHeaders, newest, 4, 0, opMessage, 0, 200, 200, 0, opMessage, 0, 200, 200, 0},
	"a window over 2^31-1", []byte{0, 1, opCredit, 0, 12, opCredit, 0, 12},
	"frames on an idle stream", []byte{0, 1, opData, 0, 1, 0, 9},
	"an even stream", []byte{0, 1, opHeaders, 18, 0, 0},
	"late frames", []byte{0, 2, opHeaders, newest, 3, 0, opReset, 0, 8, opMessage, 0, 9, 9, 0, opCredit, 1, 0, 20, opMessage, 0, 9, 9, shapeEnd, opHeaders, 0, 19, shapeEnd},
	"GOAWAY, then a drain", []byte{0, 2, opHeaders, newest, 1, 0, opGoAway, 0, 0, 3, opLocal, 0, opMessage, 0, 9, 9, shapeEnd, opCall, 0, 2},
	"a drain without an answer to its PING", []byte{16, 2, opHeaders, newest, 1, 0, opLocal, 0, opCall, 0, 2, opTime, 255},
	"a close between calls", []byte{0, 3, opHeaders, newest, 2, shapeEnd, opLocal, 3, opCall, 0, 2},
	"HPACK that refers to nothing", []byte{0, 1, opBlock, newest, 1, 3, 0xbf, 0xff, 0xff},
	"HPACK with a table size", []byte{3, 1, opBlock, newest, 1, 3, 0x3f, 0xe1, 0x1f, opCall, 0, 1},
	"half a frame", []byte{0, 1, opCall, 0, 1, opHalf, 0, 9, 3, 1, 2, 3},
	"unknown frames, priorities, PUSH_PROMISE", []byte{0, 1, opRaw, 11, 1, 0, 2, 1, 2, opPriority, 0, 1, opPriority, 0, 0, opRaw, 5, 4, 0, 4, 0, 0, 0, 2},
	"a message that says it is compressed", []byte{0, 1, opHeaders, newest, 0, 0, opData, 0, 5, shapeEnd, 1, 0, 0, 0, 0},
	"acknowledgements of nothing", []byte{0, 1, opAck, opAck, opAckUnasked, 3, opCall, 0, 1},
)

// clientSeeds are scripts of FuzzClientConn: an octet each for the client's
// windows, the end of the connection and the kind of its calls, then
// operations.
var clientSeeds = scripts(
	"silence", "\x00\x00\x03",
	"answers", []byte{0, 1, 3, opAck, opCall, 0, 1, opCall, 0, 9, opCall, 0, 0, opCall, 0, 0, opCall, 0, 255},
	"answers to older calls first", []byte{1, 2, 6, opCredit, 0, 9, opCredit, 1, 0, 9, opHeaders, 2, 0, 0, opHeaders, 1, 0, 0, opMessage, 1, 30, 30, shapeSplit,
		opMessage, 2, 9, 9, shapePadded, opHeaders, 2, 1, shapeEnd, opMessage, 1, 1, 1, 0, opHeaders, 1, 1, shapeEnd},
	"statuses", []byte{0, 3, 7, opHeaders, 0, 2, shapeEnd, opHeaders, 0, 3, shapeEnd, opHeaders, 0, 6, shapeEnd, opHeaders, 0, 13, shapeEnd,
		opHeaders, 1, 4, 0, opHeaders, 1, 5, 0, opHeaders, 1, 3, shapeEnd | shapeSplit | shapePadded},
	"what no server may answer", []byte{0, 2, 7, opHeaders, 0, 8, shapeEnd, opHeaders, 1, 9, shapeEnd, opHeaders, 2, 10, 0, opHeaders, 3, 11, 0, opMessage, 3, 1, 1, shapeEnd,
		opHeaders, 4, 12, 0, opHeaders, 5, 14, 0, opHeaders, 6, 15, 0, opHeaders, 0, 16, 0},
	"resets", []byte{0, 0, 7, opReset, 0, 7, opReset, 1, 8, opReset, 2, 11, opReset, 3, 0, opReset, 4, 13},
	"an answer before the request has ended", []byte{0, 0, 5, opSettings, 1, 4, 0, opHeaders, 0, 3, shapeEnd, opReset, 0, 0, opHeaders, 1, 3, shapeEnd, opTime, 9},
	"no more streams, then more", []byte{0, 1, 7, opSettings, 1, 3, 0, opReset, 0, 7, opReset, 1, 7, opReset, 2, 7, opSettings, 1, 3, 3, opTime, 9},
	"a GOAWAY between streams", []byte{0, 0, 5, opGoAway, 1, 0, 0, opCall, 0, 1, opGoAway, 2, 11, 14, opCall, 1, 1},
	"cancels", []byte{0, 2, 11, opLocal, 0, opLocal, 0, opCall, 0, 3, opLocal, 0, opCall, 1, 3, opTime, 200},
	"a client that drains", []byte{0, 2, 3, opLocal, 1, opCall, 0, 1, opCall, 0, 1, opCall, 0, 1},
	"pings", []byte{0, 1, 1, opLocal, 2, opAckUnasked, 0, opPing, 2, opRepeat, 200, opTime, 255},
	"PUSH_PROMISE", []byte{0, 1, 1, opRaw, 5, 4, 0, 4, 0, 0, 0, 2},
	"a message that is too large", []byte{0, 1, 1, opHeaders, 0, 0, 0, opData, 0, 5, 0, 0, 0xff, 0xff, 0xff, 0xff},
	"DATA before headers", []byte{0, 1, 1, opMessage, 0, 1, 1, 0},
	"an overrun of a stream's window", []byte{2, 1, 1, opHeaders, 0, 0, 0, opMessage, 0, 200, 200, 0},
	"a stream that nobody opened", []byte{0, 1, 1, opHeaders, 200, 0, 0},
	"SETTINGS of all kinds", []byte{0, 1, 2, opSettings, 6, 1, 0, 2, 0, 3, 4, 4, 9, 5, 10, 6, 5, opSettings, 2, 1, 5, 7, 1, opCall, 0, 3, opSettings, 1, 4, 13},
	"a flood of headers that are not final", []byte{0, 1, 1, opHeaders, 0, 4, 0, opRepeat, 255},
	"a message too large whose padding earns credit", []byte{1, 2, 6, 5, 0, 9, 5, 0, 9, 0, 2, 0, 0, 2, 6, 5, 0, 9, 5, 0, 9, 0, 1, 0, 0, 2, 1, 30, 30, 127},
	"a peer that stops reading", []byte{0, 2, 7, opCredit, 0, 12, opSettings, 1, 4, 9, opStall, 1, opPing, 0, opRepeat, 100, opTime, 255, opStall, 0},
)

// scripts takes what a table of names and scripts has in its second column.
func scripts(table ...any) (s [][]byte) {
	for i := 1; i < len(table); i += 2 {
		switch script := table[i].(type) {
		case string:
			s = append(s, []byte(script))
		case []byte:
			s = append(s, script)
		}
	}
	return s
}
