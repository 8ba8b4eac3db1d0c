package flow

// ConnInFlow is the credit that we give the peer on a connection, for all its
// streams together. It returns on receipt, whether anybody reads or not, and
// for streams that are closed or unknown too: else streams without a reader
// would stall all the others. What a connection can be made to hold is bounded
// by the windows of its streams instead.
type ConnInFlow struct {
	limit  int64
	window int64 // what the peer may still send
}

// Init starts a connection that is to have a window of limit octets. Every
// connection begins with DefaultWindow, and SETTINGS do not change that: Init
// gives the increment of the WINDOW_UPDATE that has to follow our SETTINGS, or
// 0 if limit is not above DefaultWindow. See SetLimit for a limit below it.
func (f *ConnInFlow) Init(limit uint32) (update uint32) {
	*f = ConnInFlow{limit: DefaultWindow, window: DefaultWindow}
	return f.SetLimit(limit)
}

// Allows reports whether the peer may send n octets. It does not know yet of
// unsent octets of the credit that was granted: sending these is an overrun too.
func (f *ConnInFlow) Allows(n, unsent uint32) bool { return int64(n)+int64(unsent) <= f.window }

// OnData is DATA of n octets, padding included. It gives the increment of the
// WINDOW_UPDATE to be sent now, or 0 as long as less than a quarter of the
// limit is gathered. It is not ok, and nothing is counted, if the peer sent
// more than its window: FLOW_CONTROL_ERROR for the connection. Filling the
// window to its last octet is legal.
func (f *ConnInFlow) OnData(n uint32) (update uint32, ok bool) {
	if int64(n) > f.window {
		return 0, false
	}
	f.window -= int64(n)
	if due(f.limit-f.window, f.limit) {
		return f.grant(), true
	}
	return 0, true
}

// SetLimit changes the window's size to n octets, from 1 to MaxWindow; beyond
// these it is the nearer one. A higher limit gives the increment of the
// WINDOW_UPDATE to be sent now. A lower limit takes effect as DATA comes: HTTP/2
// cannot take credit back, so no update is sent until what the peer has is
// below the new limit.
func (f *ConnInFlow) SetLimit(n uint32) (update uint32) {
	old := f.limit
	f.limit = min(max(int64(n), 1), MaxWindow)
	if f.limit > old {
		return f.grant()
	}
	return 0
}

// Window gives what the peer may still send, in octets, and Limit the window's
// size.
func (f *ConnInFlow) Window() int64 { return f.window }

// Limit gives the size that the window is to have. See Window.
func (f *ConnInFlow) Limit() int64 { return f.limit }

// grant opens the window up to the limit.
func (f *ConnInFlow) grant() (update uint32) {
	if f.window >= f.limit {
		return 0
	}
	update = uint32(f.limit - f.window)
	f.window = f.limit
	return update
}
