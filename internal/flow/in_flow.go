package flow

import "math"

// InFlow is the credit that we give the peer on one stream. It returns when
// the application has consumed what came, so that a stream nobody reads holds
// no more than its limit, or that and the message which Raise made room for.
//
// At any time, with all numbers in octets:
//
//	window = limit + loan - pending - gathered
//
// is what the peer may still send.
type InFlow struct {
	limit    int64 // our SETTINGS_INITIAL_WINDOW_SIZE
	accepted int64 // the largest limit that the peer may still act on; >= limit
	loan     int64 // granted beyond limit for a large message, not read yet
	pending  int64 // received, not read
	gathered int64 // read, not granted again
}

// Init starts a stream with a window of limit octets: our
// SETTINGS_INITIAL_WINDOW_SIZE when it was opened. With 0 the peer can send
// nothing but empty DATA until SetLimit.
func (f *InFlow) Init(limit uint32) {
	*f = InFlow{limit: int64(limit), accepted: int64(limit)}
}

func (f *InFlow) window() int64 { return f.limit + f.loan - f.pending - f.gathered }

// OnData is DATA of n octets, padding included. It reports false, and counts
// nothing, if the peer sent more than its window: FLOW_CONTROL_ERROR for the
// stream. Filling the window to its last octet is legal.
func (f *InFlow) OnData(n uint32) bool {
	// What is accepted exceeds the window between SetLimit and Acked only.
	if n > 0 && int64(n) > f.window()+f.accepted-f.limit {
		return false
	}
	f.pending += int64(n)
	return true
}

// OnRead says that n octets received are consumed: taken by the application,
// dropped, or padding. It gives the increment of the WINDOW_UPDATE to be sent
// now, or 0 as long as less than a quarter of the limit is gathered. It panics
// if more is read than was received.
func (f *InFlow) OnRead(n uint32) (update uint32) {
	if int64(n) > f.pending {
		panic("BUG: more octets read than received")
	}
	f.pending -= int64(n)
	back := min(int64(n), f.loan) // the loan's octets are granted already
	f.loan -= back
	f.gathered += int64(n) - back
	if !due(f.gathered, f.limit) {
		return 0
	}
	return f.grant(0)
}

// Raise says that a message lacks n octets which nobody will read one by one:
// they have to fit the window, or sender and receiver wait for each other. It
// gives the increment of the WINDOW_UPDATE to be sent now, or 0 if the window
// has room for them. What it grants beyond the limit is a loan: reads give it
// back before they gather new credit.
//
// It is called after each fragment that leaves a message incomplete, with what
// is still missing, of the prefix as long as that is; and after SetLimit. That
// costs nothing when all is granted, and makes up for padding and for a lower
// limit, which take room from the message. The window stays within MaxWindow, a
// larger message gets the rest of its room as it comes.
//
// So a stream nobody reads holds up to its limit and one message, and one more
// message for each time that the limit grew under a loan. A caller that leaves
// out Raise while complete messages are unread, and makes up for it when the
// last of them is taken, has the bound of one message always.
func (f *InFlow) Raise(n uint32) (update uint32) {
	window := f.window()
	missing := int64(n) - window
	if missing <= 0 {
		return 0
	}
	if int64(n) > MaxWindow && window > MaxWindow/2 {
		return 0 // no update for each fragment just because all cannot fit
	}
	return f.grant(missing)
}

// grant opens the window by what is gathered, and by more than that if missing
// says so, as far as MaxWindow allows.
func (f *InFlow) grant(missing int64) (update uint32) {
	// The peer may still count with the limit before the last one.
	room := MaxWindow - (f.window() + f.accepted - f.limit)
	n := min(max(missing, f.gathered), room)
	if n <= 0 {
		return 0
	}
	paid := min(n, f.gathered)
	f.gathered -= paid
	f.loan += n - paid
	return uint32(n)
}

// SetLimit says that SETTINGS with a new SETTINGS_INITIAL_WINDOW_SIZE are on
// their way to the peer, while the stream is open. A higher limit holds at
// once. After a lower one the peer has less to send, possibly less than
// nothing; but it may go on with the old one until it knows:
//
// "A receiver that wishes to use a smaller flow-control window than the
// current size can send a new SETTINGS frame. However, the receiver MUST be
// prepared to receive data that exceeds this window size, since the sender
// might send data that exceeds the lower limit prior to processing the
// SETTINGS frame."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.3
//
// So OnData accepts what the highest limit since the last Acked allows.
//
// It gives the increment of the WINDOW_UPDATE to be sent behind the SETTINGS:
// what is gathered may be much for the new limit. A message that is incomplete
// may have lost room besides: see Raise. It is not ok, and changes nothing, if
// the window would exceed MaxWindow, which the peer would have to treat as a
// connection error.
func (f *InFlow) SetLimit(limit uint32) (update uint32, ok bool) {
	if f.window()-f.limit+int64(limit) > MaxWindow {
		return 0, false
	}
	f.limit = int64(limit)
	f.accepted = max(f.accepted, f.limit)
	if !due(f.gathered, f.limit) {
		return 0, true
	}
	return f.grant(0), true
}

// Acked says that the peer has acknowledged all SETTINGS that SetLimit told
// of. From now on the current limit is the only one.
func (f *InFlow) Acked() { f.accepted = f.limit }

// Window gives what the peer may still send, in octets. It may be negative:
// see SetLimit.
func (f *InFlow) Window() int64 { return f.window() }

// Pending gives how many octets are received and not read.
func (f *InFlow) Pending() uint32 { return uint32(min(f.pending, math.MaxUint32)) }
