package transport

import (
	"math"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
)

// announceLocked queues our SETTINGS and the credit by which the connection's
// window is to exceed the 65,535 octets that RFC 9113 starts with.
func (c *conn) announceLocked(credit uint32) {
	s := make([]frame.Setting, 0, 6)
	if c.client {
		s = append(s, frame.Setting{ID: frame.SettingEnablePush, Value: 0})
	} else if n := c.role.(*http2Server).cfg.maxConcurrentStreams(); n != math.MaxUint32 {
		s = append(s, frame.Setting{ID: frame.SettingMaxConcurrentStreams, Value: n})
	}
	s = append(s,
		frame.Setting{ID: frame.SettingInitialWindowSize, Value: c.cfg.initialWindowSize()},
		frame.Setting{ID: frame.SettingMaxHeaderListSize, Value: c.cfg.maxHeaderListSize()})
	if n := c.cfg.headerTableSize(); n != 4096 {
		s = append(s, frame.Setting{ID: frame.SettingHeaderTableSize, Value: n})
	}
	if n := c.cfg.maxFrameSize(); n != frame.DefaultMaxSize {
		s = append(s, frame.Setting{ID: frame.SettingMaxFrameSize, Value: n})
	}
	b := frame.AppendSettings(c.hbuf[:0], s...)
	c.tally.framesOut++
	if credit > 0 {
		c.tally.framesOut++
		c.tally.windowsOut.Connection++
		b = frame.AppendWindowUpdate(b, 0, credit)
	}
	c.out.copy(b)
	c.hbuf = b[:0]
}

// settingsTimedOut ends the connection.
//
// "If the sender of a SETTINGS frame does not receive an acknowledgment within
// a reasonable amount of time, it MAY issue a connection error (Section 5.4.1)
// of type SETTINGS_TIMEOUT."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.3
func (c *conn) settingsTimedOut() {
	c.fail(&ConnError{Code: CodeSettingsTimeout, By: ByLocal,
		Reason: "the peer did not acknowledge our SETTINGS within " + c.cfg.settingsTimeout().String() + " (option " + c.option("SettingsTimeout") + ")"})
}

// handleSettings applies the peer's SETTINGS and acknowledges them, in this
// order.
func (c *conn) handleSettings(f *frame.Frame) *frame.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Flags.Has(frame.FlagAck) {
		if !c.acked {
			c.settingsAckedLocked()
		}
		return nil
	}
	var windows windowValues
	for s := range frame.Settings(f.Payload) {
		if err := s.Check(); err != nil {
			return err
		}
		if err := c.applyLocked(s, &windows); err != nil {
			return err
		}
	}
	if err := c.applyWindowLocked(windows); err != nil {
		return err
	}
	first := !c.settings.seen
	if first {
		c.settings.seen = true
		c.gotSetting = true
		if c.settings.maxStreams == 100 && !settingNamed(f.Payload, frame.SettingMaxConcurrentStreams) {
			c.settings.maxStreams = math.MaxUint32 // "Initially, there is no limit to this value." §6.5.2
		}
		if d := c.cfg.settingsTimeout(); d > 0 && !c.acked && c.life != lifeClosed {
			c.ackTimer = time.AfterFunc(d, c.settingsTimedOut) // until now other bounds held
		}
		c.startLivenessLocked()
		c.readyLocked()
		if !c.client && c.writeErr == nil {
			_ = c.nc.SetReadDeadline(time.Time{})
		}
	}
	c.role.settingsLocked()
	// "Upon receiving a SETTINGS frame with the ACK flag set [...]. The values in
	// the SETTINGS frame MUST be processed in the order they appear [...]. Once
	// all values have been processed, the recipient MUST immediately emit a
	// SETTINGS frame with the ACK flag set."
	// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.3
	c.reply(c.ctl.SettingsAck)
	return nil
}

// settingsAckedLocked says that the peer knows all our SETTINGS: there is never
// more than one frame of them under way.
func (c *conn) settingsAckedLocked() {
	c.stopAckTimerLocked()
	c.dec.SettingsAcked()
	c.acked, c.recvWindowMax = true, c.recvWindow
	for st := range c.streams.each {
		st.in.acked()
	}
}

func (c *conn) stopAckTimerLocked() {
	if c.ackTimer != nil {
		c.ackTimer.Stop()
		c.ackTimer = nil
	}
}

func settingNamed(payload []byte, id frame.SettingID) bool {
	for s := range frame.Settings(payload) {
		if s.ID == id {
			return true
		}
	}
	return false
}

// applyLocked applies one value, which Check has passed. Those of the streams'
// window it gathers.
func (c *conn) applyLocked(s frame.Setting, windows *windowValues) *frame.Error {
	switch s.ID {
	case frame.SettingHeaderTableSize:
		c.enc.SetMaxTableSize(s.Value)
	case frame.SettingEnablePush:
		// "A server MUST NOT explicitly set this value to 1. [...] A client MUST
		// treat receipt of a SETTINGS frame with SETTINGS_ENABLE_PUSH set to 1 as a
		// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
		if c.client && s.Value == 1 {
			return protocolErrorf("the server set ENABLE_PUSH to 1")
		}
	case frame.SettingMaxConcurrentStreams:
		c.settings.maxStreams = s.Value
	case frame.SettingInitialWindowSize:
		windows.add(s.Value)
	case frame.SettingMaxFrameSize:
		c.settings.maxFrameSize = s.Value
	case frame.SettingMaxHeaderListSize:
		c.settings.maxHeaderListSize = s.Value
	}
	return nil
}

// windowValues are the values of INITIAL_WINDOW_SIZE in one frame. However many
// there are, the streams are walked once: the last one counts, and the highest
// must not have been too much for any of them.
type windowValues struct {
	given         bool
	highest, last uint32
}

func (w *windowValues) add(value uint32) {
	w.given, w.highest, w.last = true, max(w.highest, value), value
}

// applyWindowLocked changes the window of every open stream.
//
// "When the value of SETTINGS_INITIAL_WINDOW_SIZE changes, a receiver MUST
// adjust the size of all stream flow-control windows that it maintains by the
// difference between the new value and the old value."
// "An endpoint MUST treat a change to SETTINGS_INITIAL_WINDOW_SIZE that causes
// any flow-control window to exceed the maximum size as a connection error
// (Section 5.4.1) of type FLOW_CONTROL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
func (c *conn) applyWindowLocked(w windowValues) *frame.Error {
	if !w.given {
		return nil
	}
	up := int64(w.highest) - int64(c.settings.initialWindow)
	down := int64(w.last) - int64(w.highest)
	c.settings.initialWindow = w.last
	for st := range c.streams.each {
		if !st.out.flow.Adjust(up) || !st.out.flow.Adjust(down) {
			return &frame.Error{Code: CodeFlowControl, Reason: "SETTINGS_INITIAL_WINDOW_SIZE raises a stream's window past 2^31-1"}
		}
		c.unblockLocked(st)
	}
	return nil
}
