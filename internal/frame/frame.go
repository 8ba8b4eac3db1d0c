// Package frame turns HTTP/2 frames into octets and back (RFC 9113, §4 and §6).
//
// A Reader cuts what was read from a connection into frames and checks them
// before anything is made of them; the Append functions are the way out. There
// is one file a frame type. Nothing here does I/O, keeps time or takes a lock.
package frame

import (
	"encoding/binary"
	"fmt"
)

// ClientPreface is what a client sends before its first frame.
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
const ClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HeaderLen is the length of a frame header, in octets.
const HeaderLen = 9

// The sizes of payloads, in octets. https://www.rfc-editor.org/rfc/rfc9113#section-4.2
const (
	DefaultMaxSize = 1 << 14   // what everyone must accept
	MaxMaxSize     = 1<<24 - 1 // what SETTINGS_MAX_FRAME_SIZE can say
)

// ValidMaxSize reports whether SETTINGS_MAX_FRAME_SIZE can have a value.
//
// "The value advertised by an endpoint MUST be between this initial value and
// the maximum allowed frame size (2^24-1 or 16,777,215 octets), inclusive."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
func ValidMaxSize(n uint32) bool { return DefaultMaxSize <= n && n <= MaxMaxSize }

// A Type is the type of a frame.
type Type uint8

// The types of RFC 9113.
const (
	TypeData Type = iota
	TypeHeaders
	TypePriority
	TypeRSTStream
	TypeSettings
	TypePushPromise
	TypePing
	TypeGoAway
	TypeWindowUpdate
	TypeContinuation
)

var typeNames = [...]string{
	"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
	"PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION",
}

// String gives the RFC's name.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("frame type 0x%x", uint8(t))
}

// Flags are the flags of a frame. What a bit means depends on the type.
type Flags uint8

// The flags of RFC 9113.
const (
	FlagEndStream  Flags = 0x1 // DATA, HEADERS
	FlagAck        Flags = 0x1 // SETTINGS, PING
	FlagEndHeaders Flags = 0x4 // HEADERS, PUSH_PROMISE, CONTINUATION
	FlagPadded     Flags = 0x8 // DATA, HEADERS, PUSH_PROMISE
	FlagPriority   Flags = 0x20
)

// Has reports whether all bits of other are set.
func (f Flags) Has(other Flags) bool { return f&other == other }

// A Header is a frame header.
type Header struct {
	Length   uint32 // of the payload, in octets
	Type     Type
	Flags    Flags
	StreamID uint32
}

// streamMask takes the reserved bit off a stream id.
const streamMask = 1<<31 - 1

// ParseHeader reads a frame header from the first HeaderLen octets of b.
func ParseHeader(b []byte) Header {
	_ = b[HeaderLen-1]
	return Header{
		Length:   uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:     Type(b[3]),
		Flags:    Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) & streamMask,
	}
}

// PutHeader writes a frame header to the first HeaderLen octets of b.
func PutHeader(b []byte, length int, t Type, fl Flags, id uint32) {
	if uint(length) > MaxMaxSize || id > streamMask {
		panic("BUG: a frame that cannot be")
	}
	_ = b[HeaderLen-1]
	b[0], b[1], b[2] = byte(length>>16), byte(length>>8), byte(length)
	b[3], b[4] = byte(t), byte(fl)
	binary.BigEndian.PutUint32(b[5:], id)
}

// appendHeader appends a frame header.
func appendHeader(dst []byte, length int, t Type, fl Flags, id uint32) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, HeaderLen)...)
	PutHeader(dst[n:], length, t, fl, id)
	return dst
}

// A Frame is a frame that was read, or a fragment of a DATA frame. Which fields
// beside Header are set depends on Type.
type Frame struct {
	Header
	// Payload is what the frame carries, without padding and priority: data, a
	// piece of a header block, SETTINGS entries, the debug data of GOAWAY. Other
	// types have none. It lies in the buffer that was lent, and is valid until the
	// next call of Next or Space.
	Payload []byte
	// First and Last mark the fragments of a DATA frame, which is handed out as
	// its octets come. Other frames are whole: both are true.
	First, Last bool
	// FlowLen is what a fragment of DATA takes from the flow-control windows, in
	// octets: its payload, and padding with the octet that tells its length.
	FlowLen int

	HasPriority  bool
	Dependency   uint32 // PRIORITY, HEADERS with priority
	PromisedID   uint32 // PUSH_PROMISE
	Increment    uint32 // WINDOW_UPDATE
	Code         ErrCode
	LastStreamID uint32 // GOAWAY
	PingData     [8]byte
}

// EndStream reports whether the frame ends its stream. Of DATA it is the last
// fragment that does.
func (f *Frame) EndStream() bool {
	return f.Last && f.Flags.Has(FlagEndStream) && (f.Type == TypeData || f.Type == TypeHeaders)
}
