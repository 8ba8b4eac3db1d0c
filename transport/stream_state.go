package transport

// streamState is where a stream stands. Its methods are the arrows; they
// report whether the stream is closed now. PUSH_PROMISE, and with it the two
// reserved states, does not occur: weir sends none and refuses those it gets.
//
//	                 idle
//	                  │ open: HEADERS sent or received
//	                  ▼
//	                 open ────────────────┐
//	   sendEnd        │        recvEnd    │
//	 ┌────────────────┴──────────┐        │
//	 ▼                           ▼        │ reset: RST_STREAM
//	halfClosedLocal   halfClosedRemote    │ sent or received
//	 │                           │        │
//	 │ recvEnd, reset            │ sendEnd, reset
//	 └────────────┬──────────────┘        │
//	              ▼                       │
//	            closed ◄──────────────────┘
//
// https://www.rfc-editor.org/rfc/rfc9113#section-5.1
type streamState uint8

const (
	stateIdle streamState = iota
	stateOpen
	stateHalfClosedLocal  // we have sent END_STREAM
	stateHalfClosedRemote // the peer has sent END_STREAM
	stateClosed
)

// String gives the state's name as RFC 9113 has it.
func (s streamState) String() string {
	return [...]string{"idle", "open", "half-closed (local)", "half-closed (remote)", "closed"}[s]
}

// open is the arrow of the first HEADERS.
func (s *streamState) open() {
	if *s != stateIdle {
		panic("BUG: a stream is opened that is " + s.String())
	}
	*s = stateOpen
}

// canSend reports whether this side may still send on the stream.
func (s streamState) canSend() bool { return s == stateOpen || s == stateHalfClosedRemote }

// canRecv reports whether the peer may still send on the stream.
func (s streamState) canRecv() bool { return s == stateOpen || s == stateHalfClosedLocal }

// sendEnd is the arrow of END_STREAM sent.
func (s *streamState) sendEnd() (closed bool) {
	switch *s {
	case stateOpen:
		*s = stateHalfClosedLocal
	case stateHalfClosedRemote:
		*s = stateClosed
	default:
		panic("BUG: END_STREAM sent on a stream that is " + s.String())
	}
	return *s == stateClosed
}

// recvEnd is the arrow of END_STREAM received. The caller has asked canRecv.
func (s *streamState) recvEnd() (closed bool) {
	switch *s {
	case stateOpen:
		*s = stateHalfClosedRemote
	case stateHalfClosedLocal:
		*s = stateClosed
	default:
		panic("BUG: END_STREAM taken on a stream that is " + s.String())
	}
	return *s == stateClosed
}
