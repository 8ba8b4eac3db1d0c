package h2peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2"
)

// read runs on a goroutine of its own until the connection ends or the subject
// breaks the protocol.
func (p *Peer) read() {
	defer close(p.done)
	if p.server {
		preface := make([]byte, len(http2.ClientPreface))
		if n, err := io.ReadFull(p.nc, preface); err != nil {
			p.push(frame{ended: err})
			return
		} else if string(preface) != http2.ClientPreface {
			p.push(frame{fault: fmt.Sprintf("a client preface of %q", preface[:n])})
			return
		}
		p.trace.note("<- PREFACE")
	}
	fr := http2.NewFramer(io.Discard, p.nc)
	for {
		f := p.readFrame(fr)
		if f.isFrame() && p.handled(f) {
			continue
		}
		p.push(f)
		if !f.isFrame() {
			return
		}
	}
}

func (p *Peer) push(f frame) {
	p.trace.note("<- %v", f)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, f)
	if p.arrived != nil {
		close(p.arrived)
		p.arrived = nil
	}
}

// readFrame reads one frame, or a whole header block, and keeps a copy.
func (p *Peer) readFrame(fr *http2.Framer) frame {
	raw, bad := p.nextFrame(fr)
	if raw == nil {
		return bad
	}
	f := frame{FrameHeader: raw.Header()}
	switch raw := raw.(type) {
	case *http2.HeadersFrame:
		return p.readBlock(fr, f, raw)
	case *http2.DataFrame:
		f.data = bytes.Clone(raw.Data())
	case *http2.SettingsFrame:
		for i := range raw.NumSettings() {
			f.settings = append(f.settings, raw.Setting(i))
		}
	case *http2.PingFrame:
		f.data = bytes.Clone(raw.Data[:])
	case *http2.RSTStreamFrame:
		f.code = raw.ErrCode
	case *http2.GoAwayFrame:
		f.last, f.code, f.data = raw.LastStreamID, raw.ErrCode, bytes.Clone(raw.DebugData())
	case *http2.WindowUpdateFrame:
		f.increment = raw.Increment
	}
	return f
}

// readBlock reads the rest of a header block and decodes it.
func (p *Peer) readBlock(fr *http2.Framer, f frame, raw *http2.HeadersFrame) frame {
	block := bytes.Clone(raw.HeaderBlockFragment())
	f.headers = &Headers{StreamID: f.StreamID, EndStream: raw.StreamEnded(), Fragments: []int{len(block)}}
	for ended := raw.HeadersEnded(); !ended; {
		next, bad := p.nextFrame(fr)
		if next == nil {
			return bad
		}
		more := next.(*http2.ContinuationFrame) // the framer refuses all else here
		block = append(block, more.HeaderBlockFragment()...)
		f.headers.Fragments = append(f.headers.Fragments, len(more.HeaderBlockFragment()))
		ended = more.HeadersEnded()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if fault := p.table.block(block); fault != "" {
		return frame{fault: fault}
	}
	fields, err := p.dec.DecodeFull(block)
	if err != nil {
		return frame{fault: fmt.Sprintf("a header block on stream %d that does not decode: %v", f.StreamID, err)}
	}
	f.headers.Fields = fields
	return f
}

// nextFrame reads a frame, or gives what there is instead: the end of the
// connection, or a frame that must not be.
func (p *Peer) nextFrame(fr *http2.Framer) (http2.Frame, frame) {
	raw, err := fr.ReadFrame()
	var connErr http2.ConnectionError
	var streamErr http2.StreamError
	switch {
	case errors.As(err, &connErr), errors.As(err, &streamErr), errors.Is(err, http2.ErrFrameTooLarge):
		return nil, frame{fault: fmt.Sprintf("a malformed frame: %v (%v)", err, fr.ErrorDetail())}
	case err != nil:
		return nil, frame{ended: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := raw.Header().Length; n > p.maxRead {
		return nil, frame{fault: fmt.Sprintf("a %v frame of %d octets, where %d is the most", raw.Header().Type, n, p.maxRead)}
	}
	return raw, frame{}
}

// handled does what the peer owes a frame at once, and says whether that was
// all, so that no step sees it.
func (p *Peer) handled(f frame) bool {
	p.mu.Lock()
	ackPings, grant := p.ackPings, p.grant
	var fault string
	switch {
	case f.Type == http2.FrameData:
		fault = p.credit.spend(f.StreamID, f.Length)
	case f.isAck(http2.FrameSettings):
		fault = p.acked()
	}
	p.mu.Unlock()

	switch {
	case fault != "":
		p.push(frame{fault: fault})
	case f.Type == http2.FramePing && !f.isAck(http2.FramePing) && ackPings:
		p.trace.note("<- %v", f)
		p.write("PING ACK", frameOctets(func(fr *http2.Framer) error { return fr.WritePing(true, [8]byte(f.data)) }))
		return true
	case f.Type == http2.FrameData && grant && f.Length > 0:
		p.giveBack(f)
	}
	return false
}

// acked applies the settings that the subject acknowledged. Locked: p.mu.
func (p *Peer) acked() (fault string) {
	settings, ok := p.credit.acked()
	if !ok && !p.credit.off {
		return "SETTINGS ACK for SETTINGS that were not written"
	}
	for _, s := range settings {
		if s.ID == http2.SettingHeaderTableSize {
			p.dec.SetAllowedMaxDynamicTableSize(s.Val)
			p.table.acked(s.Val)
		}
	}
	return ""
}

func (p *Peer) giveBack(f frame) {
	p.mu.Lock()
	p.credit.granted(0, f.Length)
	p.credit.granted(f.StreamID, f.Length)
	p.mu.Unlock()
	p.write(fmt.Sprintf("WINDOW_UPDATE +%d for stream %d and connection", f.Length, f.StreamID),
		frameOctets(func(fr *http2.Framer) error {
			if err := fr.WriteWindowUpdate(0, f.Length); err != nil || f.endStream() {
				return err
			}
			return fr.WriteWindowUpdate(f.StreamID, f.Length)
		}))
}
