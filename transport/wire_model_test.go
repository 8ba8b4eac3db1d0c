package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/net/http2"
)

// A wireModel stands beside a peer that plays anything: it is told what the
// peer is about to send, and says what is wrong with what the subject sends
// back. It takes the subject's octets from x/net's framer and knows nothing of
// weir's own codecs.
type wireModel struct {
	client bool // the subject is one

	mu sync.Mutex
	// What the peer sent.
	unread   []byte           // the beginning of a frame
	lost     bool             // no frames can be told apart any more
	block    uint32           // the stream of a header block that is not complete
	blockEnd bool             // which ends the stream
	opened   uint32           // the highest stream that either side has opened
	conn     int64            // credit of the connection
	initial  int64            // credit of a stream that is not in windows
	windows  map[uint32]int64 // credit of the others
	latest   int64            // the last INITIAL_WINDOW_SIZE
	lowered  []int64          // by each of the SETTINGS that wait for their ACK
	maxFrame uint32           // the largest MAX_FRAME_SIZE
	pings    [][]byte         // that wait for their ACK
	data     map[uint32][]byte
	ended    map[uint32]bool // by END_STREAM or RST_STREAM
	resets   map[uint32]bool // by RST_STREAM
	// What the subject sent.
	streams map[uint32]*wireStream
	greeted bool
	last    uint32   // of its GOAWAY
	asked   [][]byte // PINGs
	goAways int
	rsts    int // RST_STREAM frames
}

// A wireStream is what the subject has sent on one stream.
type wireStream struct {
	headers, ended, reset, echo bool
	rst                         int // which RST_STREAM it was

	data   int // octets
	prefix []byte
	want   uint32 // octets of the message that are still to come
}

func newWireModel(client bool) *wireModel {
	return &wireModel{
		client: client, conn: 65535, initial: 65535, latest: 65535, maxFrame: 16384, last: 1<<32 - 1,
		windows: make(map[uint32]int64), data: make(map[uint32][]byte),
		ended: make(map[uint32]bool), resets: make(map[uint32]bool), streams: make(map[uint32]*wireStream),
	}
}

// sending takes octets before they are sent.
func (m *wireModel) sending(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unread = append(m.unread, p...)
	for !m.lost && len(m.unread) >= 9 {
		n := int(m.unread[0])<<16 | int(m.unread[1])<<8 | int(m.unread[2])
		if n > 16384 {
			m.lost = true
			return
		}
		if len(m.unread) < 9+n {
			return
		}
		id := binary.BigEndian.Uint32(m.unread[5:]) & (1<<31 - 1)
		m.sendingFrame(http2.FrameType(m.unread[3]), http2.Flags(m.unread[4]), id, m.unread[9:9+n])
		m.unread = m.unread[9+n:]
	}
}

func (m *wireModel) sendingFrame(t http2.FrameType, flags http2.Flags, id uint32, p []byte) {
	switch {
	case t == http2.FrameHeaders:
		if !m.client {
			m.opened = max(m.opened, id)
		}
		m.block, m.blockEnd = id, flags.Has(http2.FlagHeadersEndStream)
		m.blockSent(id, flags)
	case t == http2.FrameContinuation:
		m.blockSent(id, flags)
	case t == http2.FrameData:
		m.data[id] = append(m.data[id], unpadded(flags, p, len(p))...)
		m.ended[id] = m.ended[id] || flags.Has(http2.FlagDataEndStream)
	case t == http2.FrameRSTStream && len(p) == 4:
		m.ended[id], m.resets[id] = true, true
	case t == http2.FramePing && !flags.Has(http2.FlagPingAck):
		m.pings = append(m.pings, bytes.Clone(p))
	case t == http2.FrameWindowUpdate && len(p) == 4:
		n := int64(binary.BigEndian.Uint32(p) & (1<<31 - 1))
		if id == 0 {
			m.conn += n
		} else {
			m.windows[id] = m.window(id) + n
		}
	case t == http2.FrameSettings && !flags.Has(http2.FlagSettingsAck):
		m.sendingSettings(p)
	}
}

// unpadded gives the data of a DATA frame of n octets that begins with p.
func unpadded(flags http2.Flags, p []byte, n int) []byte {
	if !flags.Has(http2.FlagDataPadded) || len(p) == 0 {
		return p
	}
	if pad := int(p[0]); pad < n {
		p = p[:min(len(p), n-pad)]
	}
	return p[1:]
}

// sentData is what was sent on a stream, with the half of a DATA frame that
// the subject may use before the other half.
func (m *wireModel) sentData(id uint32) []byte {
	sent, h := m.data[id], m.unread
	if len(h) > 9 && http2.FrameType(h[3]) == http2.FrameData && binary.BigEndian.Uint32(h[5:])&(1<<31-1) == id {
		n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		sent = slices.Concat(sent, unpadded(http2.Flags(h[4]), h[9:], n))
	}
	return sent
}

func (m *wireModel) blockSent(id uint32, flags http2.Flags) {
	if flags.Has(http2.FlagHeadersEndHeaders) {
		m.ended[id] = m.ended[id] || m.blockEnd
		m.block = 0
	}
}

// sendingSettings counts a larger window from now on, a smaller one from its
// acknowledgement.
func (m *wireModel) sendingSettings(p []byte) {
	var lowered int64
	for ; len(p) >= 6; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(p)) {
		case http2.SettingMaxFrameSize:
			m.maxFrame = max(m.maxFrame, value)
		case http2.SettingInitialWindowSize:
			delta := int64(value) - m.latest
			m.latest = int64(value)
			if delta > 0 {
				m.adjust(delta)
			} else {
				lowered += delta
			}
		}
	}
	m.lowered = append(m.lowered, lowered)
}

func (m *wireModel) adjust(delta int64) {
	m.initial += delta
	for id := range m.windows {
		m.windows[id] += delta
	}
}

func (m *wireModel) window(id uint32) int64 {
	if n, ok := m.windows[id]; ok {
		return n
	}
	return m.initial
}

// between reports whether what the peer has sent ends with a whole frame and a
// whole header block.
func (m *wireModel) between() bool { return !m.lost && m.block == 0 && len(m.unread) == 0 }

// stream gives what is known of a stream of the subject's.
func (m *wireModel) stream(id uint32) *wireStream {
	st := m.streams[id]
	if st == nil {
		st = &wireStream{}
		m.streams[id] = st
	}
	return st
}

// received says what is wrong with a frame of the subject's, if anything.
func (m *wireModel) received(f http2.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := f.Header()
	if settings, ok := f.(*http2.SettingsFrame); !m.greeted && (!ok || settings.IsAck()) {
		return fmt.Errorf("the first frame is %v", h)
	}
	if h.Length > m.maxFrame {
		return fmt.Errorf("more octets than %d: %v", m.maxFrame, h)
	}
	m.greeted = true
	if h.StreamID != 0 {
		if meta, ok := f.(*http2.MetaHeadersFrame); ok && m.client && meta.StreamID > m.opened {
			m.opened = h.StreamID
		}
		if h.StreamID > m.opened || h.StreamID%2 == 0 {
			return fmt.Errorf("on an idle stream: %v", h)
		}
		// What the peer sends after its own reset, it is told again that the stream
		// is closed; and after a reset that is too long ago to be remembered.
		if st := m.stream(h.StreamID); st.reset && (h.Type != http2.FrameRSTStream || !m.resets[h.StreamID] && m.rsts-st.rst < recentMax) {
			return fmt.Errorf("after RST_STREAM: %v", h)
		}
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return m.receivedHeaders(f)
	case *http2.DataFrame:
		return m.receivedData(f)
	case *http2.RSTStreamFrame:
		m.rsts++
		st := m.stream(h.StreamID)
		st.reset, st.rst = true, m.rsts
	case *http2.SettingsFrame:
		return m.receivedSettings(f)
	case *http2.PingFrame:
		return m.receivedPing(f)
	case *http2.GoAwayFrame:
		m.goAways++
		if f.LastStreamID > m.last || m.client && f.LastStreamID != 0 || m.goAways > 3 {
			return fmt.Errorf("GOAWAY no. %d names stream %d, after %d", m.goAways, f.LastStreamID, m.last)
		}
		m.last = f.LastStreamID
	case *http2.WindowUpdateFrame:
	default:
		return fmt.Errorf("a frame that gRPC has no use for: %v", h)
	}
	return nil
}

func (m *wireModel) receivedSettings(f *http2.SettingsFrame) error {
	if !f.IsAck() {
		return nil
	}
	if len(m.lowered) == 0 {
		return fmt.Errorf("an ACK without SETTINGS")
	}
	m.adjust(m.lowered[0])
	m.lowered = m.lowered[1:]
	return nil
}

func (m *wireModel) receivedPing(f *http2.PingFrame) error {
	if !f.IsAck() {
		m.asked = append(m.asked, bytes.Clone(f.Data[:]))
		return nil
	}
	if len(m.pings) == 0 || !bytes.Equal(m.pings[0], f.Data[:]) {
		return fmt.Errorf("PING ACK %q, expected are %q", f.Data, m.pings)
	}
	m.pings = m.pings[1:]
	return nil
}

func (m *wireModel) receivedHeaders(f *http2.MetaHeadersFrame) error {
	st := m.stream(f.StreamID)
	value := make(map[string]string)
	for _, hf := range f.Fields {
		value[hf.Name] = hf.Value
	}
	var bad string
	switch trailers := st.headers; {
	case st.ended:
		bad = "after END_STREAM"
	case m.client && trailers:
		bad = "a request has no trailers"
	case m.client && (value[":method"] != "POST" || value[":path"] == "" || value["te"] != "trailers" || value[":scheme"] == ""):
		bad = "not a request"
	case !m.client && (trailers == (value[":status"] != "")):
		bad = "headers or trailers"
	case !m.client && trailers && !f.StreamEnded():
		bad = "trailers without END_STREAM"
	case !m.client && f.StreamEnded() && value["grpc-status"] == "":
		bad = "an end without a status"
	case f.StreamEnded() && (st.want > 0 || len(st.prefix) > 0):
		bad = "in the middle of a message"
	}
	if bad != "" {
		return fmt.Errorf("%s: %v", bad, f)
	}
	st.headers, st.ended = true, f.StreamEnded()
	return nil
}

func (m *wireModel) receivedData(f *http2.DataFrame) error {
	id, n := f.StreamID, int64(f.Length)
	st := m.stream(id)
	if !st.headers || st.ended {
		return fmt.Errorf("before the headers or after END_STREAM: %v", f)
	}
	if n > 0 && (n > m.conn || n > m.window(id)) {
		return fmt.Errorf("credit for %d on the connection and %d on the stream: %v", m.conn, m.window(id), f)
	}
	m.conn -= n
	m.windows[id] = m.window(id) - n
	if sent := m.sentData(id); st.echo && (len(sent) < st.data+len(f.Data()) || !bytes.Equal(sent[st.data:st.data+len(f.Data())], f.Data())) {
		return fmt.Errorf("not what was sent, from octet %d of it on: %v", st.data, f)
	}
	st.data += len(f.Data())
	for p := f.Data(); len(p) > 0; {
		if st.want == 0 {
			k := min(5-len(st.prefix), len(p))
			st.prefix, p = append(st.prefix, p[:k]...), p[k:]
			if st.prefix[0] > 1 {
				return fmt.Errorf("a message with the flag %d: %v", st.prefix[0], f)
			}
			if len(st.prefix) == 5 {
				st.want, st.prefix = binary.BigEndian.Uint32(st.prefix[1:]), nil
			}
			continue
		}
		k := min(int(st.want), len(p))
		st.want, p = st.want-uint32(k), p[k:]
	}
	if st.ended = f.StreamEnded(); st.ended && (!m.client || st.want > 0 || len(st.prefix) > 0) {
		return fmt.Errorf("an end in the middle of a message, or without trailers: %v", f)
	}
	return nil
}
