package inspect

import (
	"encoding/json"
	"iter"

	"github.com/weir-rpc/weir/internal/frame"
)

// Counters are what a connection has counted since it was made, or all
// connections of a Client or Server together, those that have ended among them.
// They never fall.
type Counters struct {
	Calls Calls // attempts of calls
	// StreamsFinished are the streams that the server ended with END_STREAM,
	// whatever the status.
	StreamsFinished uint64
	// Octets are those of HTTP/2, without those of TLS. What is sent was given to
	// the operating system.
	OctetsIn, OctetsOut uint64
	// Frames are those of HTTP/2 of any type. A frame that goes out counts when it
	// is queued.
	FramesIn, FramesOut uint64
	// Messages are those of gRPC. One that is sent counts when it is queued, one
	// that is received when it has come whole.
	MessagesIn, MessagesOut uint64
	// WindowUpdates are WINDOW_UPDATE frames.
	WindowUpdatesIn, WindowUpdatesOut WindowUpdates
	// Resets are RST_STREAM frames, GoAways are GOAWAY frames.
	ResetsIn, ResetsOut   ByCode
	GoAwaysIn, GoAwaysOut ByCode
	// Pings are PING frames that are no acknowledgements.
	PingsIn, PingsOut uint64
	// Keepalives are the PING frames of PingsOut that asked whether the peer lives.
	Keepalives uint64
}

// Calls are the attempts that reached a connection: a call that is retried
// counts for each.
type Calls struct {
	// Started are all of them. Succeeded are those whose server sent the status OK,
	// and Failed all others that are over. What is neither is open.
	Started, Succeeded, Failed uint64
}

// WindowUpdates are WINDOW_UPDATE frames by what they grant credit for.
type WindowUpdates struct{ Connection, Stream uint64 }

// ByCode counts by the error code of HTTP/2. The last element counts the codes that
// RFC 9113 does not have.
type ByCode [frame.Codes + 1]uint64

// Count counts one of the code.
func (b *ByCode) Count(code uint32) { b[min(uint64(code), frame.Codes)]++ }

// Sum gives all of them.
func (b *ByCode) Sum() (n uint64) {
	for _, m := range *b {
		n += m
	}
	return n
}

// All gives the codes by their names in RFC 9113, "CANCEL" for example, and how
// often they came. What RFC 9113 does not know is "UNKNOWN".
func (b *ByCode) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for code, n := range b {
			name := "UNKNOWN"
			if code < frame.Codes {
				name = frame.ErrCode(uint32(code)).String()
			}
			if !yield(name, n) {
				return
			}
		}
	}
}

// MarshalJSON gives the codes that came, by their names.
func (b ByCode) MarshalJSON() ([]byte, error) {
	came := make(map[string]uint64)
	for name, n := range b.All() {
		if n > 0 {
			came[name] = n
		}
	}
	return json.Marshal(came)
}

func (b *ByCode) add(o *ByCode) {
	for code, n := range o {
		b[code] += n
	}
}

// Add adds o to c.
func (c *Counters) Add(o *Counters) {
	c.Calls.Started += o.Calls.Started
	c.Calls.Succeeded += o.Calls.Succeeded
	c.Calls.Failed += o.Calls.Failed
	c.StreamsFinished += o.StreamsFinished
	c.OctetsIn += o.OctetsIn
	c.OctetsOut += o.OctetsOut
	c.FramesIn += o.FramesIn
	c.FramesOut += o.FramesOut
	c.MessagesIn += o.MessagesIn
	c.MessagesOut += o.MessagesOut
	c.WindowUpdatesIn.add(o.WindowUpdatesIn)
	c.WindowUpdatesOut.add(o.WindowUpdatesOut)
	c.ResetsIn.add(&o.ResetsIn)
	c.ResetsOut.add(&o.ResetsOut)
	c.GoAwaysIn.add(&o.GoAwaysIn)
	c.GoAwaysOut.add(&o.GoAwaysOut)
	c.PingsIn += o.PingsIn
	c.PingsOut += o.PingsOut
	c.Keepalives += o.Keepalives
}

func (w *WindowUpdates) add(o WindowUpdates) {
	w.Connection += o.Connection
	w.Stream += o.Stream
}
