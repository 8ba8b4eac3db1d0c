// Package h2peer is a scripted HTTP/2 peer. A test plays one side of a
// connection frame by frame and says what the other side, the subject, has to
// do at each step, in a sentence:
//
//	p := h2peer.NewClient(t, nc)
//	p.Handshake()
//	p.WriteRequest(1, "/echo.Echo/Say", []byte("hi"), true)
//	p.WantHeaders("the server answers", 1)
//	p.WantMessage("with one message", 1)
//	p.WantTrailers("and succeeds", 1, codes.OK)
//	p.WantIdle("nothing more")
//
// A step that does not hold ends the test with its sentence, what was wanted,
// what came instead, and the trace of the connection so far.
//
// The peer stands on the framer and the HPACK coder of golang.org/x/net, never
// on weir's own: a fault in a codec cannot hide by being made twice. It writes
// whatever the script says, legal or not. Of the subject it accepts legal
// frames only: malformed ones, header blocks that do not decode and DATA
// beyond the credit that was granted end the test.
package h2peer
