package h2peer

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Message gives msg as gRPC puts it into DATA frames: after a flag for
// compression, here none, and four octets for its length.
func Message(msg []byte) []byte {
	prefix := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(msg)))
	return append(prefix, msg...)
}

// WriteMessage writes msg in DATA frames of the usual size, whatever the
// subject's windows.
func (p *Peer) WriteMessage(id uint32, endStream bool, msg []byte) {
	octets := Message(msg)
	what := fmt.Sprintf("DATA stream %d%s, a message of %d octets %q", id, endStreamWord(endStream), len(msg), clip(string(msg)))
	p.send(what, func(fr *http2.Framer) error {
		for {
			data := octets[:min(defaultMaxFrameSize, len(octets))]
			octets = octets[len(data):]
			err := fr.WriteData(id, endStream && len(octets) == 0, data)
			if err != nil || len(octets) == 0 {
				return err
			}
		}
	})
}

// WriteRequest writes the headers of a gRPC request, with further fields of
// names and values in turn, and a message unless msg is nil.
func (p *Peer) WriteRequest(id uint32, path string, msg []byte, endStream bool, extra ...string) {
	kv := append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "h2peer",
		"content-type", "application/grpc", "te", "trailers",
	}, extra...)
	p.WriteHeaders(id, endStream && msg == nil, kv...)
	if msg != nil {
		p.WriteMessage(id, endStream, msg)
	}
}

// WriteResponse writes the headers of a gRPC response, with further fields,
// and a message unless msg is nil. The stream stays open for WriteTrailers.
func (p *Peer) WriteResponse(id uint32, msg []byte, extra ...string) {
	p.WriteHeaders(id, false, append([]string{":status", "200", "content-type", "application/grpc"}, extra...)...)
	if msg != nil {
		p.WriteMessage(id, false, msg)
	}
}

// WriteTrailers ends a stream with a status. The message is written as is, not
// percent-encoded, and left out if empty.
func (p *Peer) WriteTrailers(id uint32, code codes.Code, message string, extra ...string) {
	p.WriteHeaders(id, true, status(code, message, extra)...)
}

// WriteTrailersOnly ends a stream with a status where no headers were written
// before.
func (p *Peer) WriteTrailersOnly(id uint32, code codes.Code, message string, extra ...string) {
	kv := []string{":status", "200", "content-type", "application/grpc"}
	p.WriteHeaders(id, true, append(kv, status(code, message, extra)...)...)
}

func status(code codes.Code, message string, extra []string) []string {
	kv := []string{"grpc-status", strconv.Itoa(int(code))}
	if message != "" {
		kv = append(kv, "grpc-message", message)
	}
	return append(kv, extra...)
}

// An assembly is what came in DATA frames of a stream and is not taken yet.
type assembly struct {
	octets    []byte
	endStream bool
}

func (p *Peer) assembly(id uint32) *assembly {
	if p.messages[id] == nil {
		p.messages[id] = new(assembly)
	}
	return p.messages[id]
}

// WantMessage takes as many DATA frames as one message needs and gives the
// message, without its prefix. A message is not compressed; see WantData for
// those that are.
func (p *Peer) WantMessage(sentence string, id uint32) []byte {
	p.t.Helper()
	a := p.assembly(id)
	wanted := fmt.Sprintf("a message on stream %d", id)
	need := 5
	for {
		if len(a.octets) >= 5 {
			if a.octets[0] != 0 {
				p.fail(sentence, wanted, fmt.Sprintf("a message whose first octet is %d", a.octets[0]))
			}
			need = 5 + int(binary.BigEndian.Uint32(a.octets[1:]))
		}
		if len(a.octets) >= need {
			break
		}
		if a.endStream {
			p.fail(sentence, wanted, fmt.Sprintf("the end of the stream after %d of %d octets", len(a.octets), need))
		}
		f := p.want(sentence, wanted, id, http2.FrameData)
		a.octets = append(a.octets, f.data...)
		a.endStream = f.endStream()
	}
	msg := a.octets[5:need:need]
	a.octets = a.octets[need:]
	p.trace.step(sentence)
	return msg
}

// WantEndStream wants the stream to be ended by DATA, with the last message or
// after it in a frame without octets.
func (p *Peer) WantEndStream(sentence string, id uint32) {
	p.t.Helper()
	a := p.assembly(id)
	wanted := fmt.Sprintf("END_STREAM on stream %d", id)
	if len(a.octets) > 0 {
		p.fail(sentence, wanted, fmt.Sprintf("%d octets more than were taken", len(a.octets)))
	}
	if !a.endStream {
		f := p.want(sentence, wanted, id, http2.FrameData)
		if !f.endStream() || len(f.data) > 0 {
			p.fail(sentence, wanted, f.String())
		}
		a.endStream = true
	}
	p.trace.step(sentence)
}

// WantTrailers wants a header section that ends the stream with this status.
// If it has ":status" it is a trailers-only response.
func (p *Peer) WantTrailers(sentence string, id uint32, code codes.Code) Headers {
	p.t.Helper()
	wanted := fmt.Sprintf("HEADERS stream %d END_STREAM grpc-status=%d", id, code)
	f := p.want(sentence, wanted, id, http2.FrameHeaders)
	if !f.headers.EndStream || f.headers.Get("grpc-status") != strconv.Itoa(int(code)) {
		p.fail(sentence, wanted, f.String())
	}
	p.trace.step(sentence)
	return *f.headers
}
