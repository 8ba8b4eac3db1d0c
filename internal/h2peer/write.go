package h2peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frameOctets gives the octets of what f writes. The framer lets everything
// pass: what is wrong with a frame is the script's business.
func frameOctets(f func(fr *http2.Framer) error) []byte {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	if err := f(fr); err != nil {
		panic(fmt.Sprintf("h2peer: x/net's framer refuses to write: %v", err))
	}
	return b.Bytes()
}

// send writes frames, or puts them into the batch.
func (p *Peer) send(what string, f func(fr *http2.Framer) error) {
	p.sendOctets(what, frameOctets(f))
}

func (p *Peer) sendOctets(what string, octets []byte) {
	if p.batching {
		p.trace.note("-> %s (in a batch)", what)
		p.batch = append(p.batch, octets...)
		return
	}
	p.write(what, octets)
}

// write puts octets on the wire. That the subject has gone is no failure: the
// next step will tell. That it does not read is one.
func (p *Peer) write(what string, octets []byte) {
	p.trace.note("-> %s", what)
	limit := p.patience()
	p.nc.SetWriteDeadline(time.Now().Add(limit))
	_, err := p.nc.Write(octets)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.trace.note("   %s could not be written: the subject reads nothing", what)
		p.t.Errorf("h2peer: the subject did not read for %v\ntrace (-> peer, <- subject):\n%s", limit, p.trace)
	default:
		p.trace.note("   %s could not be written: %v", what, err)
	}
}

// Batch makes one Write of all that f has the peer write.
func (p *Peer) Batch(f func()) {
	p.batching = true
	f()
	p.batching = false
	octets := p.batch
	p.batch = nil
	p.write("the batch", octets)
}

// WriteRaw writes octets that may be anything. From then on the credit of the
// subject is not checked any more, as they may have granted some.
func (p *Peer) WriteRaw(octets []byte) {
	p.mu.Lock()
	p.credit.off = true
	p.mu.Unlock()
	p.sendOctets(fmt.Sprintf("%d raw octets %q", len(octets), clip(string(octets))), octets)
}

// WriteFrame writes a frame of any type, with the consequence that WriteRaw
// has.
func (p *Peer) WriteFrame(t http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	p.mu.Lock()
	p.credit.off = true
	p.mu.Unlock()
	what := fmt.Sprintf("frame of type %v, flags %#x, stream %d, %d octets", t, uint8(flags), id, len(payload))
	p.send(what, func(fr *http2.Framer) error { return fr.WriteRawFrame(t, flags, id, payload) })
}

// WritePreface writes the 24 octets by which a client starts.
func (p *Peer) WritePreface() { p.sendOctets("PREFACE", []byte(http2.ClientPreface)) }

// WriteSettings announces settings, and has the peer hold the subject to them:
// to larger ones from now on, to smaller ones once it has acknowledged them.
func (p *Peer) WriteSettings(settings ...http2.Setting) {
	p.mu.Lock()
	p.credit.settings(settings)
	for _, s := range settings {
		if s.ID == http2.SettingMaxFrameSize {
			p.maxRead = max(p.maxRead, s.Val)
		}
	}
	p.mu.Unlock()
	what := "SETTINGS"
	for _, s := range settings {
		what += " " + s.String()
	}
	p.send(what, func(fr *http2.Framer) error { return fr.WriteSettings(settings...) })
}

// WriteSettingsAck acknowledges the subject's SETTINGS.
func (p *Peer) WriteSettingsAck() {
	p.send("SETTINGS ACK", func(fr *http2.Framer) error { return fr.WriteSettingsAck() })
}

// Encode gives the header block of names and values in turn, for
// WriteHeadersRaw. The block has to be written, once and in order: it changes
// the state of the subject's decoder.
func (p *Peer) Encode(kv ...string) []byte {
	if len(kv)%2 != 0 {
		panic("h2peer: a header field name without a value")
	}
	p.block.Reset()
	for i := 0; i < len(kv); i += 2 {
		if err := p.enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]}); err != nil {
			panic(fmt.Sprintf("h2peer: x/net's encoder refuses to write: %v", err))
		}
	}
	return bytes.Clone(p.block.Bytes())
}

// WriteHeaders writes a header section of names and values in turn: HEADERS,
// and CONTINUATION as far as the subject's largest frame size demands it.
func (p *Peer) WriteHeaders(id uint32, endStream bool, kv ...string) {
	block := p.Encode(kv...)
	size := defaultMaxFrameSize
	if n, ok := p.Settings[http2.SettingMaxFrameSize]; ok {
		size = int(n)
	}
	what := fmt.Sprintf("HEADERS stream %d%s", id, endStreamWord(endStream))
	for i := 0; i < len(kv); i += 2 {
		what += fmt.Sprintf(" %s=%s", kv[i], clip(kv[i+1]))
	}
	p.send(what, func(fr *http2.Framer) error {
		first := block[:min(size, len(block))]
		rest := block[len(first):]
		err := fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: first, EndStream: endStream, EndHeaders: len(rest) == 0,
		})
		for len(rest) > 0 && err == nil {
			fragment := rest[:min(size, len(rest))]
			rest = rest[len(fragment):]
			err = fr.WriteContinuation(id, len(rest) == 0, fragment)
		}
		return err
	})
}

func endStreamWord(endStream bool) string {
	if endStream {
		return " END_STREAM"
	}
	return ""
}

// WriteHeadersRaw writes a HEADERS frame with a block, or part of one, as is.
func (p *Peer) WriteHeadersRaw(id uint32, block []byte, endStream, endHeaders bool) {
	what := fmt.Sprintf("HEADERS stream %d%s, %d octets, END_HEADERS: %t", id, endStreamWord(endStream), len(block), endHeaders)
	p.send(what, func(fr *http2.Framer) error {
		return fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: block, EndStream: endStream, EndHeaders: endHeaders,
		})
	})
}

// WriteContinuation writes a CONTINUATION frame with part of a block.
func (p *Peer) WriteContinuation(id uint32, endHeaders bool, block []byte) {
	what := fmt.Sprintf("CONTINUATION stream %d, %d octets, END_HEADERS: %t", id, len(block), endHeaders)
	p.send(what, func(fr *http2.Framer) error { return fr.WriteContinuation(id, endHeaders, block) })
}

// WriteData writes one DATA frame, whatever the subject's windows and largest
// frame size.
func (p *Peer) WriteData(id uint32, endStream bool, data []byte) {
	what := fmt.Sprintf("DATA stream %d%s %d octets %q", id, endStreamWord(endStream), len(data), clip(string(data)))
	p.send(what, func(fr *http2.Framer) error { return fr.WriteData(id, endStream, data) })
}

// WriteDataPadded writes one DATA frame with pad octets of padding, 0 to 255,
// beside the octet that says how many.
func (p *Peer) WriteDataPadded(id uint32, endStream bool, data []byte, pad int) {
	what := fmt.Sprintf("DATA stream %d%s %d octets %q, %d of padding", id, endStreamWord(endStream), len(data), clip(string(data)), pad)
	p.send(what, func(fr *http2.Framer) error { return fr.WriteDataPadded(id, endStream, data, make([]byte, pad)) })
}

// WriteReset writes RST_STREAM.
func (p *Peer) WriteReset(id uint32, code http2.ErrCode) {
	p.send(fmt.Sprintf("RST_STREAM stream %d %v", id, code),
		func(fr *http2.Framer) error { return fr.WriteRSTStream(id, code) })
}

// WritePing writes a PING that wants an answer.
func (p *Peer) WritePing(data [8]byte) {
	p.send(fmt.Sprintf("PING %x", data), func(fr *http2.Framer) error { return fr.WritePing(false, data) })
}

// WritePingAck writes the answer to a PING.
func (p *Peer) WritePingAck(data [8]byte) {
	p.send(fmt.Sprintf("PING ACK %x", data), func(fr *http2.Framer) error { return fr.WritePing(true, data) })
}

// WriteGoAway writes GOAWAY.
func (p *Peer) WriteGoAway(last uint32, code http2.ErrCode, debug string) {
	p.send(fmt.Sprintf("GOAWAY last stream %d %v %q", last, code, debug),
		func(fr *http2.Framer) error { return fr.WriteGoAway(last, code, []byte(debug)) })
}

// WriteWindowUpdate grants n octets to a stream, or to the connection if id is
// zero.
func (p *Peer) WriteWindowUpdate(id, n uint32) {
	p.mu.Lock()
	p.credit.granted(id, n)
	p.mu.Unlock()
	p.send(fmt.Sprintf("WINDOW_UPDATE stream %d +%d", id, n),
		func(fr *http2.Framer) error { return fr.WriteWindowUpdate(id, n) })
}

// WritePriority writes PRIORITY, which RFC 9113 deprecates.
func (p *Peer) WritePriority(id uint32, param http2.PriorityParam) {
	p.send(fmt.Sprintf("PRIORITY stream %d %+v", id, param),
		func(fr *http2.Framer) error { return fr.WritePriority(id, param) })
}
