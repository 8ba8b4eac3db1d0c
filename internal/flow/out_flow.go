package flow

// OutFlow is the credit that the peer gave us, of a stream or a connection. It
// is below zero after the peer lowered SETTINGS_INITIAL_WINDOW_SIZE by more
// than was left; nothing may be sent then until updates have made up for it.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
type OutFlow struct {
	window int64
}

// Init starts with a window of so many octets: the peer's
// SETTINGS_INITIAL_WINDOW_SIZE, or DefaultWindow for a connection.
func (f *OutFlow) Init(window uint32) { f.window = int64(window) }

// Window gives the credit in octets. It may be negative.
func (f *OutFlow) Window() int64 { return f.window }

// Available gives how many octets may be sent now. It is never negative, and 0
// does not hold up DATA that is empty, as END_STREAM often is: that needs no
// credit.
func (f *OutFlow) Available() int { return int(max(f.window, 0)) }

// Consume takes the credit for n octets of DATA. It panics if there is less.
func (f *OutFlow) Consume(n int) {
	if n < 0 || n > f.Available() {
		panic("BUG: more flow-control credit consumed than is available")
	}
	f.window -= int64(n)
}

// Add is a WINDOW_UPDATE of n octets. It reports false, and changes nothing,
// if the window would exceed MaxWindow: FLOW_CONTROL_ERROR for the stream or
// the connection. An increment of 0 is an error as well, and not seen here:
// the frame is wrong whatever the window is.
func (f *OutFlow) Add(n uint32) bool { return f.Adjust(int64(n)) }

// Adjust is a change of the peer's SETTINGS_INITIAL_WINDOW_SIZE by delta, for
// a stream that is open; a connection's window does not follow that setting.
// It reports false, and changes nothing, if the window would exceed MaxWindow:
// FLOW_CONTROL_ERROR for the connection.
func (f *OutFlow) Adjust(delta int64) bool {
	if delta > MaxWindow-f.window {
		return false
	}
	f.window += delta
	return true
}
