package h2peer

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A frame is what the subject sent, kept for as long as the test wants. A
// header block is one frame, whatever it came in.
type frame struct {
	http2.FrameHeader

	headers   *Headers
	data      []byte // DATA without padding; opaque data of a PING; debug data of a GOAWAY
	settings  []http2.Setting
	code      http2.ErrCode
	last      uint32 // stream, of a GOAWAY
	increment uint32

	ended error  // the subject's side of the connection ended: no frame at all
	fault string // what the subject must not do: no frame at all
}

// Headers is a header section that the subject sent.
type Headers struct {
	StreamID  uint32
	EndStream bool
	Fields    []hpack.HeaderField
	// Fragments has the octets of the block in HEADERS and each CONTINUATION.
	Fragments []int
}

// Get gives the value of the first field of that name, or "".
func (h Headers) Get(name string) string {
	for _, f := range h.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Values gives the values of all fields of that name, in order.
func (h Headers) Values(name string) []string {
	var values []string
	for _, f := range h.Fields {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

// String lists the fields.
func (h Headers) String() string {
	var b strings.Builder
	for i, f := range h.Fields {
		if i > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%s=%s", f.Name, clip(f.Value))
	}
	return b.String()
}

// Data is a DATA frame that the subject sent.
type Data struct {
	Data      []byte // without padding
	EndStream bool
	Length    int // as counted by flow control, padding included
}

// GoAway is a GOAWAY frame that the subject sent.
type GoAway struct {
	LastStreamID uint32
	Code         http2.ErrCode
	Debug        string
}

func (f frame) isAck(t http2.FrameType) bool {
	// SETTINGS and PING have the same bit for it.
	return f.Type == t && f.isFrame() && f.Flags.Has(http2.FlagSettingsAck)
}

func (f frame) isFrame() bool { return f.ended == nil && f.fault == "" }

func (f frame) endStream() bool {
	return (f.Type == http2.FrameData || f.Type == http2.FrameHeaders) && f.isFrame() && f.Flags.Has(http2.FlagDataEndStream)
}

// String describes the frame in one line.
func (f frame) String() string {
	if f.ended != nil {
		return fmt.Sprintf("the end of the connection (%v)", f.ended)
	}
	if f.fault != "" {
		return "a fault of the subject: " + f.fault
	}
	var b strings.Builder
	b.WriteString(f.Type.String())
	if f.StreamID != 0 {
		fmt.Fprintf(&b, " stream %d", f.StreamID)
	}
	if f.endStream() {
		b.WriteString(" END_STREAM")
	}
	switch f.Type {
	case http2.FrameHeaders:
		fmt.Fprintf(&b, " %v", *f.headers)
		if n := len(f.headers.Fragments); n > 1 {
			fmt.Fprintf(&b, " (in %d frames)", n)
		}
	case http2.FrameData:
		fmt.Fprintf(&b, " %d octets %q", len(f.data), clip(string(f.data)))
		if pad := int(f.Length) - len(f.data); pad > 0 {
			fmt.Fprintf(&b, " and %d of padding", pad)
		}
	case http2.FrameSettings:
		if f.isAck(f.Type) {
			b.WriteString(" ACK")
		}
		for _, s := range f.settings {
			fmt.Fprintf(&b, " %v", s)
		}
	case http2.FramePing:
		if f.isAck(f.Type) {
			b.WriteString(" ACK")
		}
		fmt.Fprintf(&b, " %x", f.data)
	case http2.FrameRSTStream:
		fmt.Fprintf(&b, " %v", f.code)
	case http2.FrameGoAway:
		fmt.Fprintf(&b, " last stream %d %v %q", f.last, f.code, clip(string(f.data)))
	case http2.FrameWindowUpdate:
		fmt.Fprintf(&b, " +%d", f.increment)
	default:
		fmt.Fprintf(&b, " %d octets", f.Length)
	}
	return b.String()
}

// clip shortens what a trace shows.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
