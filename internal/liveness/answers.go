package liveness

// Looks is how often a client looks in an AnswerTimeout whether its server is there.
const Looks = 8

// Answers finds out whether a server is there that owes answers. It is asked Looks
// times a timeout, as long as calls are open, and counts looks in a row between
// which calls were open and not an octet came:
//
//	0 ─── 3 ─────── 5 ────────── 7 ────────── 9
//	      VerdictAsk VerdictSuspect VerdictLeave VerdictEnd
//
// As an octet may have come right behind the first look, what is decided at the
// n-th is decided between n and n+1 eighths of the timeout after the latest. A client
// that was stopped itself, or slept, has looked once meanwhile, and blames nobody.
//
// It asks with a PING, which costs nothing only where servers do not count it as
// one too many. grpc-go, and others after it, end a connection at the third that
// comes early, and forgive when they send HEADERS or DATA. So it asks once after
// each answer to a call, and once more when another call was begun since; then not
// until there is an answer. With keepalive, whose PING frames a server that permits
// them expects at a distance, it asks once.
//
// The zero value is for use.
type Answers struct {
	// Keepalive says that other PING frames are sent on a timer.
	Keepalive bool

	seen    Seen
	waits   bool // calls were open at the latest look
	silent  uint8
	asked   bool   // since the latest answer to a call that is behind that to the PING
	again   bool   // asked once more
	known   bool   // the PING is acknowledged
	answers uint64 // Seen.Answers then
	opened  uint64 // Seen.Opened when it was sent
}

// Seen is what a look sees of a connection.
type Seen struct {
	Calls    int    // that are open
	Opened   uint64 // calls of all time
	Received uint64 // octets
	Answers  uint64 // messages and ends of calls
}

// Verdict is what is to be done about a server after a look.
type Verdict uint8

const (
	// VerdictNone is nothing.
	VerdictNone Verdict = iota
	// VerdictAsk is to send a PING, and to call Acknowledged when it is answered.
	VerdictAsk
	// VerdictSuspect is to look for another connection.
	VerdictSuspect
	// VerdictLeave is to open no more calls.
	VerdictLeave
	// VerdictEnd is to end the calls that are open.
	VerdictEnd
)

// Look gives what is to be done. It reports false if there need be no next look
// until a call is begun.
func (a *Answers) Look(s Seen) (v Verdict, next bool) {
	before := a.seen
	a.seen = s
	switch {
	case s.Calls == 0:
		a.silent, a.waits = 0, false
		return VerdictNone, s.Opened != before.Opened
	case !a.waits, s.Received != before.Received:
		a.silent, a.waits = 0, true
		return VerdictNone, true
	}
	a.silent++
	switch a.silent {
	case 3:
		if !a.mayAsk() {
			a.silent = 0
			return VerdictNone, true
		}
		return VerdictAsk, true
	case 5:
		return VerdictSuspect, true
	case 7:
		return VerdictLeave, true
	case 9:
		return VerdictEnd, true
	}
	return VerdictNone, true
}

// mayAsk reports whether a PING is none too many, and counts it.
func (a *Answers) mayAsk() bool {
	switch s := &a.seen; {
	case !a.asked, a.known && s.Answers != a.answers:
		a.again = false
	case !a.again && !a.Keepalive && s.Opened != a.opened:
		a.again = true
	default:
		return false
	}
	a.asked, a.known, a.opened = true, false, a.seen.Opened
	return true
}

// Acknowledged says that the PING was answered, when there were so many answers to
// calls.
func (a *Answers) Acknowledged(answers uint64) { a.known, a.answers = true, answers }

// Fresh reports whether nothing has to be remembered until the next look.
func (a *Answers) Fresh() bool { return !a.asked }
